"""Batches through the ingest app into InfluxDB, against direct writes in line protocol."""

import time
from pathlib import Path

import requests

from monitor.model import format_mac
from tests.bench.table import Row, alternate
from tests.influxd.server import Access
from tests.service import Service
from tests.waiting import eventually

ROWS, BATCHES = 10_000, 40
GOAL = 0.75
_MACS = [format_mac(0x020000000000 + n) for n in range(ROWS)]
_NDJSON = "".join(f'{{"mac_address":"{mac}","battery":3.1}}\n' for mac in _MACS).encode()


class Batches:
    """Both ways into one InfluxDB, each timed until the last point can be queried."""

    def __init__(self, service: Service, access: Access, bucket: str) -> None:
        self._url = f"{service.url}/heartbeats"
        self._access, self._bucket = access, bucket
        self._session = requests.Session()
        self._straight = requests.Session()
        self._straight.headers["Authorization"] = f"Token {access.token}"

    def through_the_service(self) -> float:
        """Heartbeats per second through the service."""
        begin, since = time.perf_counter(), time.time_ns() // 1_000_000
        for _ in range(BATCHES):
            answer = self._session.post(
                self._url, data=_NDJSON, headers={"Content-Type": "application/x-ndjson"}
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["accepted"] == ROWS
        return self._rate("received", since, begin)

    def directly(self) -> float:
        """Points per second written directly."""
        since = time.time_ns() // 1_000_000
        bodies = []
        for batch in range(BATCHES):
            moment = since + batch
            tail = f" reference={moment}i,m_battery=3.1 {moment}\n"
            bodies.append("".join(f"heartbeat,mac={mac}{tail}" for mac in _MACS).encode())
        begin = time.perf_counter()
        for body in bodies:
            answer = self._straight.post(
                f"{self._access.url}/api/v2/write",
                params={"org": self._access.org, "bucket": self._bucket, "precision": "ms"},
                data=body,
            )
            assert answer.status_code == 204, answer.text
        return self._rate("reference", since, begin)

    def _await(self, field: str, since: int) -> None:
        """Wait until the last sensor's last point can be queried; then check the count.
        Counting all points repeatedly would slow down the measured run."""
        last = f"AND mac = '{_MACS[-1]}'"
        eventually(lambda: self._count(field, since, last) >= BATCHES, 120, every=0.05)

    def _count(self, field: str, since: int, condition: str = "") -> int:
        query = f"SELECT count({field}) FROM heartbeat WHERE time >= {since}ms {condition}"
        answer = self._straight.get(
            f"{self._access.url}/query", params={"db": self._bucket, "q": query}
        ).json()
        assert "error" not in answer["results"][0], answer
        series = answer["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0

    def _rate(self, field: str, since: int, begin: float) -> float:
        self._await(field, since)
        seconds = time.perf_counter() - begin
        eventually(lambda: self._count(field, since) == ROWS * BATCHES)
        return ROWS * BATCHES / seconds


def rows(directory: Path, access: Access, bucket: str, **environment: object) -> list[Row]:
    """Measure with the InfluxDB at `access`, which the service uses."""
    with Service(directory, **environment) as service:
        service.ready()
        batches = Batches(service, access, bucket)
        measured, reference = alternate(batches.through_the_service, batches.directly)
    what = "batch ingest into InfluxDB, until queryable"
    return [Row(what, "/s", measured, reference, least_ratio=GOAL)]
