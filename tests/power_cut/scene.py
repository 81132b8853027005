"""The service with its write-ahead log on a disk that loses power."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import requests

from monitor.model import DAY, HOUR
from monitor.store.sqlite import SqliteStore
from tests.power_cut.disk import Disk
from tests.power_cut.traffic import MACS, Beats, Traffic
from tests.service import Service
from tests.waiting import eventually

WORKERS = 2


class Cut(NamedTuple):
    """What was acknowledged until a cut, and what of that is not stored after the next start."""

    acknowledged: int
    """In this round, before the cut."""
    segments: int
    """How many the disk has kept."""
    lost: Beats
    """Acknowledged in this round or an earlier one, and not stored."""
    lost_before: Beats
    """Those of this round that were acknowledged before the cut."""


class Scene:
    """The service and its traffic."""

    def __init__(self, directory: Path, disk: Disk, fsync: str, chance: random.Random) -> None:
        """`fsync`: the setting `ingest.fsync`."""
        data = directory / "data"
        data.mkdir()
        (data / "spool").symlink_to(disk.path)
        self._disk, self._chance = disk, chance
        self._service = Service(
            directory,
            "web",
            MONITOR_INGEST_FSYNC=fsync,
            MONITOR_INGEST_RATE_PER_SENSOR=1_000,
            MONITOR_SERVER_WORKERS=WORKERS,
        )
        migrate = [sys.executable, "-m", "monitor", "migrate"]
        subprocess.run(migrate, env=self._service.environment, check=True)
        self._service.module = "tests.power_cut.small_segments"
        self.traffic = Traffic(self._service.url, disk.path, chance)
        self._store = SqliteStore(data / "heartbeats.sqlite", DAY)

    def close(self) -> None:
        """Kill the service."""
        self._store.close()
        self._service.kill()

    def start(self) -> None:
        """Start the service; wait until it accepts heartbeats and its shipper has started."""
        self._service.start()
        eventually(self._answers, 60)
        eventually(lambda: self._service.named("shipper"))

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self._service.url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def lose_power(self, shipping: bool, writing: bool, replies: range) -> Cut:
        """Send heartbeats, cut the power at a random moment, and start the service again.

        `shipping`: the shipper runs meanwhile. `writing`: the disk stops within a write or a sync.
        `replies`: how many are read before the cut.
        """
        if not shipping:
            self._service.named("shipper")[0].suspend()
        earlier = set(self.traffic.acknowledged)
        before = asyncio.run(self._send_until_cut(writing, self._chance.choice(replies)))
        self._disk.unmount()
        self._disk.mount()
        kept = list(self._disk.path.glob("*.segment"))
        self.start()
        # The shipper deletes a segment when all of it is stored.
        eventually(lambda: not any(path.exists() for path in kept), 60)
        start, stop = self.traffic.start, self.traffic.start + HOUR
        stored = {(beat.mac, beat.time) for beat in self._store.heartbeats(MACS, start, stop)}
        lost = self.traffic.acknowledged - stored
        return Cut(len(before - earlier), len(kept), lost, lost & before - earlier)

    async def _send_until_cut(self, writing: bool, replies: int) -> Beats:
        """The heartbeats that were acknowledged before the cut."""
        clients = await self.traffic.send(replies)
        if writing:
            self._disk.cut_after(self._chance.randrange(1, 500))
            await asyncio.to_thread(self._disk.wait_for_cut)
        acknowledged = set(self.traffic.acknowledged)
        self._disk.cut()
        self._service.kill()
        self.traffic.stop()
        await asyncio.gather(*clients)
        return acknowledged
