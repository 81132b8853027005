"""Fixtures that several rooms' tests share."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from monitor.model import DAY
from monitor.store.influxdb import InfluxStore
from tests.influxd.server import Access, InfluxdServer, external_influxd, require_influxd

RETENTION = 90 * DAY

_LAST = ("own_outages", "e2e")
"""Rooms whose tests watch the clock, and mostly wait: when the rest leaves the machine in peace."""


class ByFile(LoadFileScheduling):
    """A file is one worker's alone, and so are all outages of our own: they share their runs."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        room = file.rpartition("/")[0]
        return room if room.endswith("/own_outages") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {room: number for number, room in enumerate(_LAST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, -1))


@pytest.fixture(scope="session")
def influxdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A real InfluxDB: the one of INFLUXDB_V2_URL, or one of our own for the session."""
    given = external_influxd()
    if given:
        yield given
        return
    with InfluxdServer(require_influxd(), tmp_path_factory.mktemp("influxd")) as server:
        yield server.access


def influx_store(access: Access) -> InfluxStore:
    """A store on buckets of its own, provisioned."""
    name = uuid.uuid4().hex[:12]
    store = InfluxStore(
        access.url, access.org, access.token, f"beats-{name}", f"arrivals-{name}", RETENTION
    )
    store.migrate()
    return store


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[InfluxdServer]:
    """An InfluxDB of the test's own, to be killed and started again."""
    with InfluxdServer(require_influxd(), tmp_path / "influxd") as server:
        yield server
