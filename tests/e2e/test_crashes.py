"""After kills and a full disk every heartbeat that got a 2xx is stored once."""

import csv
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from monitor.model import DAY, parse_mac, parse_time
from monitor.settings import StoreSettings
from monitor.state.database import open_state, reading
from monitor.state.tables import incident
from monitor.store.influxdb import InfluxStore
from monitor.store.interface import Store
from monitor.store.sqlite import SqliteStore
from tests.influxd.server import InfluxdServer
from tests.service import Service
from tests.small_disk import small_disk
from tests.waiting import eventually

OUTAGE = float(os.environ.get("MONITOR_TEST_OUTAGE", "12"))
"""Seconds without the store or the disk; longer than the threshold."""

SENSORS, DEAD = 300, 6
TIMING = {
    "MONITOR_STALENESS_THRESHOLD": 8,
    "MONITOR_STALENESS_SWEEP_INTERVAL": 1,
    "MONITOR_ALERTS_GROUP_WAIT": 1,
}


class Simulation:
    """`monitor simulate` in the background, with records; some sensors die during the outage."""

    def __init__(self, service: Service, directory: Path, duration: float) -> None:
        self.acknowledged_file = directory / "acknowledged.csv"
        self.sent_file = directory / "sent.csv"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "monitor", "simulate", "--url", service.url),
                *("--sensors", str(SENSORS), "--interval", "2", "--jitter", "0.1", "--seed", "3"),
                *("--die", str(DEAD / SENSORS), "--die-after", "9"),
                *("--duration", str(duration), "--record", str(self.acknowledged_file)),
                *("--sent", str(self.sent_file)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def acknowledged_count(self) -> int:
        """The number of heartbeats that got a 2xx so far."""
        if not self.acknowledged_file.exists():
            return 0
        return max(0, self.acknowledged_file.read_bytes().count(b"\n") - 1)

    def finish(self) -> str:
        """Wait until it ends; the summary."""
        out, _ = self._process.communicate(timeout=300)
        return out.decode()


def rows(file: Path) -> Counter[tuple[int, int]]:
    with file.open() as lines:
        return Counter(
            (parse_mac(row["mac_address"]), parse_time(row["time"]))
            for row in csv.DictReader(lines)
        )


def check(simulation: Simulation, store: Store, since: int) -> None:
    """Check that acknowledged heartbeats are stored, and stored ones were sent."""
    acknowledged = set(rows(simulation.acknowledged_file))
    attempts = Counter(mac for mac, _ in rows(simulation.sent_file).elements())
    macs = list(attempts)

    def stored() -> set[tuple[int, int]]:
        beats = store.heartbeats(macs, since, since + DAY)
        return {(beat.mac, beat.time) for beat in beats}

    missing = acknowledged - eventually(lambda: (s := stored()) >= acknowledged and s, 60)
    assert not missing
    counts = Counter(mac for mac, _ in stored())
    assert all(counts[mac] <= attempts[mac] for mac in counts)


def incidents(service: Service) -> list[Any]:
    engine = open_state(f"sqlite:///{service.directory / 'data' / 'state.sqlite'}")
    with reading(engine) as connection:
        return list(connection.execute(select(incident)))


@pytest.mark.timeout(300)
def test_killed_influxd_and_worker_lose_no_acknowledged_heartbeat(
    tmp_path: Path, influxd: InfluxdServer
) -> None:
    variables = {
        "INFLUXDB_V2_URL": influxd.url,
        "INFLUXDB_V2_ORG": influxd.org,
        "INFLUXDB_V2_TOKEN": influxd.token,
        **TIMING,
    }
    since = time.time_ns() // 1_000_000
    with Service(tmp_path, **variables) as service:
        service.ready()
        simulation = Simulation(service, tmp_path, OUTAGE + 36)
        eventually(lambda: simulation.acknowledged_count() > SENSORS)
        eventually(lambda: len(service.sensors()) == SENSORS, 20)
        influxd.kill()
        gone = time.monotonic()
        workers = service.named("web")[1:]
        workers[0].kill()
        eventually(lambda: time.monotonic() - gone > OUTAGE, OUTAGE + 5)
        influxd.start()
        eventually(lambda: len(incidents(service)) == DEAD, 40)
        simulation.finish()
        variables_of = StoreSettings()
        store = InfluxStore(
            *influxd.access, variables_of.heartbeats_bucket, variables_of.arrivals_bucket, DAY
        )
        # Access is (url, org, token), the first arguments of the store.
        check(simulation, store, since)
        found = incidents(service)
    assert len({row.mac for row in found}) == len(found) == DEAD
    assert {row.closed_at for row in found} == {None}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB that the test can fill."""
    with small_disk(tmp_path, "4m") as place:
        yield place


@pytest.mark.timeout(300)
def test_full_wal_disk_loses_no_acknowledged_heartbeat(tmp_path: Path, disk: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "spool").symlink_to(disk)
    since = time.time_ns() // 1_000_000
    with Service(tmp_path, **TIMING) as service:
        service.ready()
        simulation = Simulation(service, tmp_path, OUTAGE + 36)
        eventually(lambda: simulation.acknowledged_count() > SENSORS)
        eventually(lambda: len(service.sensors()) == SENSORS, 20)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            fill(file.fileno())
        full = time.monotonic()
        acknowledged = simulation.acknowledged_count()
        eventually(lambda: time.monotonic() - full > OUTAGE, OUTAGE + 5)
        refused = simulation.acknowledged_count() - acknowledged
        filler.unlink()
        eventually(lambda: len(incidents(service)) == DEAD, 60)
        summary = simulation.finish()
        store = SqliteStore(data / "heartbeats.sqlite", DAY)
        check(simulation, store, since)
        found = incidents(service)
    assert "503" in summary
    assert refused < SENSORS * OUTAGE / 2
    assert len({row.mac for row in found}) == len(found) == DEAD
    assert shutil.disk_usage(disk).free > 0


def fill(descriptor: int) -> None:
    """Fill the file system to the last byte."""
    for size in (65_536, 4_096, 1):
        block = b"\0" * size
        try:
            while True:
                os.write(descriptor, block)
        except OSError:
            continue
