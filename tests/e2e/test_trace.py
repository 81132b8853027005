"""The incidents of a replayed trace equal the silences in the file.

MONITOR_TEST_TRACE names a trace (time, mac_address, …) to use instead of a generated one.
"""

import csv
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from monitor.model import MINUTE, SECOND, format_mac, format_time, parse_mac, parse_time
from monitor.state.database import open_state, reading
from monitor.state.tables import incident
from tests.influxd.server import InfluxdServer
from tests.service import Service
from tests.waiting import eventually

SPEED = 60
THRESHOLD = 10 * MINUTE
SWEEP = 1 * SECOND
LATE = SWEEP + 1 * SECOND
"""A silence that ends this soon after its deadline may be missed: one sweep, and one second until
coverage is reported."""

Reports = dict[int, list[int]]


def generate(file: Path) -> Path:
    """Write a trace of 25 vehicles for half an hour: a report every two minutes, with silences."""
    chance = random.Random(5)
    rows = []
    for vehicle in range(25):
        moment = chance.randrange(2 * MINUTE)
        while moment < 30 * MINUTE:
            rows.append((moment, 0x020000001000 + vehicle))
            moment += chance.randrange(110, 130) * SECOND
            if chance.random() < 0.1:
                moment += chance.randrange(5, 18) * MINUTE
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["time", "mac_address", "speed"])
        writer.writerows(
            (format_time(1_490_000_000_000 + moment), format_mac(mac), "1.5")
            for moment, mac in sorted(rows)
        )
    return file


def read(file: Path) -> Reports:
    """mac -> times of its reports, in order."""
    reports: Reports = defaultdict(list)
    with file.open() as lines:
        for row in csv.DictReader(lines):
            reports[parse_mac(row["mac_address"])].append(parse_time(row["time"]))
    return {mac: sorted(times) for mac, times in reports.items()}


def silences(reports: Reports, threshold: int) -> set[tuple[int, int]]:
    """(mac, number of the report before it) of every silence above `threshold`, including the
    one after the last report."""
    return {
        (mac, number)
        for mac, times in reports.items()
        for number, (time, following) in enumerate(zip(times, [*times[1:], 1 << 60], strict=True))
        if following - time > threshold
    }


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    given = os.environ.get("MONITOR_TEST_TRACE")
    return Path(given) if given else generate(tmp_path / "trace.csv")


def incidents(service: Service) -> Iterator[Any]:
    engine = open_state(f"sqlite:///{service.directory / 'data' / 'state.sqlite'}")
    with reading(engine) as connection:
        yield from connection.execute(select(incident)).all()


@pytest.mark.timeout(1200)
def test_incidents_of_a_replayed_trace_equal_the_silences_in_the_file(
    tmp_path: Path, recording: Path, influxd: InfluxdServer
) -> None:
    reports = read(recording)
    by_the_file = silences(reports, THRESHOLD)
    apart = silences(reports, THRESHOLD - SPEED * LATE) - silences(
        reports, THRESHOLD + SPEED * LATE
    )
    record = tmp_path / "record.csv"
    variables = {
        "INFLUXDB_V2_URL": influxd.url,
        "INFLUXDB_V2_ORG": influxd.org,
        "INFLUXDB_V2_TOKEN": influxd.token,
        "MONITOR_STALENESS_THRESHOLD": THRESHOLD / SPEED / SECOND,
        "MONITOR_STALENESS_SWEEP_INTERVAL": SWEEP / SECOND,
    }
    with Service(tmp_path, **variables) as service:
        service.ready()
        subprocess.run(
            [
                *(sys.executable, "-m", "monitor", "simulate", "--url", service.url),
                *("--trace", str(recording), "--speed", str(SPEED), "--record", str(record)),
            ],
            check=True,
            capture_output=True,
        )

        def open_now() -> int:
            return sum(row.closed_at is None for row in incidents(service))

        # At the end all sensors are down.
        eventually(lambda: open_now() == len(reports), THRESHOLD / SPEED / SECOND + 20)
        found = list(incidents(service))
    stored = read(record)
    assert {mac: len(times) for mac, times in stored.items()} == {
        mac: len(times) for mac, times in reports.items()
    }
    opened = [(row.mac, stored[row.mac].index(row.last_seen)) for row in found]
    assert len(set(opened)) == len(opened)
    print(
        f"by the file: {len(by_the_file)}, of them near the threshold: {len(apart & by_the_file)}"
    )
    print(f"opened: {len(opened)}, else different: {len((by_the_file ^ set(opened)) - apart)}")
    # Compared with the times of receipt the incidents are exact below the threshold.
    threshold = THRESHOLD // SPEED
    assert set(opened) - silences(stored, threshold) == set()
    assert silences(stored, threshold + LATE) - set(opened) == set()
    # Compared with the trace: except silences near the threshold, and reports sent late.
    late = {
        (mac, number)
        for mac, times in stored.items()
        for number in range(len(times) - 1)
        if abs(times[number + 1] - times[number] - _gap(reports[mac], number) / SPEED) > SECOND
    }
    assert (by_the_file ^ set(opened)) - apart - late == set()


def _gap(times: list[int], number: int) -> int:
    return times[number + 1] - times[number]
