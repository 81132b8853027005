"""Fixtures shared by several test directories."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.model import DAY
from monitor.store.influxdb import InfluxStore
from tests import order
from tests.influxd.server import Access, InfluxdServer, external_influxd, require_influxd

RETENTION = 90 * DAY

_MEMORY = Path("/dev/shm")
_ENOUGH_MEMORY = 12 * 1024**3  # bytes; the databases of a whole run take half of it

# The tests write a lot and wait for each write, so a busy disk would make some of them time out.
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH_MEMORY:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest-xdist reads the groups."""
    order.arrange(items)


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
