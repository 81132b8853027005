"""Sensors and a gateway that note what was acknowledged."""

import asyncio
import os
import random
import time
from itertools import count
from pathlib import Path

from monitor.model import HOUR, format_mac
from tests.keepalive import Host

SENSORS = 500
MACS = range(0x02_00_00_00_00_00, 0x02_00_00_00_00_00 + SENSORS)
Beats = set[tuple[int, int]]
"""(mac, time) of heartbeats."""

_CONNECTIONS = 8
_TIMEOUT = 10.0


class Traffic:
    """Heartbeats, alone and in batches, over kept-alive and new connections.

    Each has a time of its own, so (mac, time) identifies it.
    """

    def __init__(self, url: str, spool: Path, chance: random.Random) -> None:
        self.acknowledged: Beats = set()
        """Of all rounds: heartbeats whose reply, a 200, was read."""
        self.start = time.time_ns() // 1_000_000 - HOUR
        self._url, self._spool, self._chance = url, spool, chance
        self._numbers = count()
        self._replies = 0
        self._stopped = False

    async def send(self, replies: int) -> list[asyncio.Task[None]]:
        """Send until `stop`. Returns after so many replies were read."""
        self._stopped, self._replies = False, 0
        enough = asyncio.Event()
        tasks = [asyncio.create_task(self._client(replies, enough)) for _ in range(_CONNECTIONS)]
        async with asyncio.timeout(60):
            await enough.wait()
        return tasks

    def stop(self) -> None:
        """Let each client end when its reply, or an error, has arrived."""
        self._stopped = True

    async def _client(self, replies: int, enough: asyncio.Event) -> None:
        host = Host(self._url, _TIMEOUT)
        while not self._stopped:
            if self._chance.random() < 0.05:
                await host.close()
                host = Host(self._url, _TIMEOUT)
            if self._chance.random() < 0.1:
                await asyncio.to_thread(self._write_back)
            rows = self._chance.randrange(2, 300) if self._chance.random() < 0.1 else 1
            beats = [self._beat() for _ in range(rows)]
            if rows == 1:
                status = await host.beat(*beats[0])
            else:
                batch = [{"mac_address": format_mac(mac), "time": at} for mac, at in beats]
                status = await host.post("/heartbeats", batch)
            if status == 200:
                self.acknowledged.update(beats)
                self._replies += 1
                if self._replies >= replies:
                    enough.set()
        await host.close()

    def _beat(self) -> tuple[int, int]:
        number = next(self._numbers)
        return MACS[number % SENSORS], self.start + number

    def _write_back(self) -> None:
        """Let the kernel write some changed pages to the disk, as it does at any time."""
        try:
            segments = sorted(self._spool.glob("*.segment"))
            with self._chance.choice(segments).open("rb") as file:
                size = max(1, self._chance.randrange(os.fstat(file.fileno()).st_size))
                start = self._chance.randrange(size)
                os.posix_fadvise(file.fileno(), start, size - start, os.POSIX_FADV_DONTNEED)
        except (OSError, ValueError, IndexError):
            return  # the power is cut, or the segment was deleted
