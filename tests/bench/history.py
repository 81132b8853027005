"""Sparklines, charts and uptime over 30 days, with a heartbeat per minute from 1,000 sensors."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import requests

from monitor.analysis.history import History
from monitor.clock import Clock
from monitor.model import DAY, HOUR, MINUTE, format_mac
from monitor.state import sensors
from monitor.state.database import open_state, writing
from monitor.state.migrating import migrate
from monitor.store.influxdb import InfluxStore
from tests.bench.table import Row, alternate
from tests.influxd.server import Access

SENSORS, LENGTH = 1_000, 30 * DAY
_MACS = [0x020000000000 + n for n in range(SENSORS)]
_BUCKET = "history"
_TOGETHER = 10


class PlainInflux:
    """InfluxDB by plain HTTP requests."""

    def __init__(self, access: Access) -> None:
        self._access, self._session = access, requests.Session()
        self._session.headers["Authorization"] = f"Token {access.token}"

    def fill(self, now: int) -> float:
        """Write every point in POSTs of 10,000 lines; the seconds it took."""
        chance = random.Random(1)
        late = [chance.randrange(800) for _ in range(10_007)]
        heads = [f"heartbeat,mac={format_mac(mac)} received=" for mac in _MACS]
        offsets = [chance.randrange(MINUTE) for _ in _MACS]
        begin, count = time.perf_counter(), 0
        for start in range(now - LENGTH, now, _TOGETHER * MINUTE):
            lines = []
            for minute in range(start, min(start + _TOGETHER * MINUTE, now), MINUTE):
                for head, offset in zip(heads, offsets, strict=True):
                    count += 1
                    moment = minute - MINUTE + offset + late[count % 10_007]
                    lines.append(f"{head}{moment}i {moment}")
            answer = self._session.post(
                f"{self._access.url}/api/v2/write",
                params={"org": self._access.org, "bucket": _BUCKET, "precision": "ms"},
                data="\n".join(lines).encode(),
            )
            assert answer.status_code == 204, answer.text
        seconds = time.perf_counter() - begin
        print(f"{count:,} points written in {seconds:.0f} s", flush=True)
        return seconds

    def count(self, macs: list[int], now: int, length: int, every: int) -> float:
        """Seconds of the same query that the store sends."""
        named = " OR ".join(f"mac = '{format_mac(mac)}'" for mac in macs)
        query = (
            "SELECT count(received), count(repaired) FROM heartbeat "
            f"WHERE time >= {now - length}ms AND time < {now}ms AND ({named}) "
            f"GROUP BY mac, time({every}ms) fill(none)"
        )
        begin = time.perf_counter()
        url, how = f"{self._access.url}/query", {"db": _BUCKET, "epoch": "ms"}
        answer = self._session.post(url, params=how, data={"q": query})
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - begin


def rows(directory: Path, access: Access) -> list[Row]:
    """Fill the store, which takes minutes, then measure."""
    straight, clock = PlainInflux(access), Clock()
    store = InfluxStore(access.url, access.org, access.token, _BUCKET, "arrivals", 90 * DAY)
    store.migrate()
    engine = open_state(f"sqlite:///{directory / 'state.sqlite'}")
    migrate(engine)
    with writing(engine) as connection:
        sensors.configure(connection, _MACS[0], 1, live=True)
    now = clock.now()
    straight.fill(now)

    def timed(ask: Callable[[History], object]) -> Callable[[], float]:
        def once() -> float:
            # without caches
            history = History(store, engine, clock, 10 * MINUTE, 90 * DAY)
            begin = time.perf_counter()
            ask(history)
            return time.perf_counter() - begin

        return once

    visible, one = _MACS[::10], _MACS[0]

    def day() -> float:
        return straight.count(visible, now, DAY, 30 * MINUTE)

    def month() -> float:
        return straight.count([one], now, LENGTH, 15 * HOUR)

    return [
        Row(
            "sparklines of 100 sensors",
            "s",
            *alternate(timed(lambda history: history.sparklines(visible, DAY)), day),
            most=0.2,
        ),
        Row(
            "sparkline of one sensor, 30 days",
            "s",
            *alternate(timed(lambda history: history.sparklines([one], LENGTH)), month),
            most=0.05,
        ),
        Row(
            "chart of one sensor, 30 days",
            "s",
            *alternate(timed(lambda history: history.chart(one, now - LENGTH, now, 300)), month),
        ),
        Row(
            "uptime of one sensor, 1 to 90 days",
            "s",
            *alternate(timed(lambda history: history.uptimes(one)), month),
        ),
    ]
