"""Fixtures shared by several test directories."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.model import DAY
from monitor.store.influxdb import InfluxStore
from tests.influxd.server import Access, InfluxdServer, external_influxd, require_influxd

RETENTION = 90 * DAY

_SLOWEST_FIRST = ("own_outages", "e2e", "soak", "stateful", "faults", "web", "concurrency")
"""Rooms whose tests take longest: started first, they do not keep the others waiting at the end."""

_ONE_PROCESS = {"own_outages"}
"""Rooms whose tests share what they started."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file run in one process, in order; the slowest rooms come first."""

    def rank(item: pytest.Item) -> int:
        room = _room(item)
        return _SLOWEST_FIRST.index(room) if room in _SLOWEST_FIRST else len(_SLOWEST_FIRST)

    items.sort(key=rank)
    for item in items:
        group = _room(item) if _room(item) in _ONE_PROCESS else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _room(item: pytest.Item) -> str:
    return item.path.relative_to(_TESTS).parts[0]


_TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def influxdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A real InfluxDB: the server at INFLUXDB_V2_URL, or one started for the session."""
    given = external_influxd()
    if given:
        yield given
        return
    with InfluxdServer(require_influxd(), tmp_path_factory.mktemp("influxd")) as server:
        yield server.access


def influx_store(access: Access) -> InfluxStore:
    """A migrated store on its own buckets."""
    name = uuid.uuid4().hex[:12]
    store = InfluxStore(
        access.url, access.org, access.token, f"beats-{name}", f"arrivals-{name}", RETENTION
    )
    store.migrate()
    return store


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[InfluxdServer]:
    """An InfluxDB for one test, which may kill and restart it."""
    with InfluxdServer(require_influxd(), tmp_path / "influxd") as server:
        yield server
