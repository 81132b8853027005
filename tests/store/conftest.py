"""Fixture: each kind of store in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.store.interface import Store
from monitor.store.sqlite import SqliteStore
from tests.conftest import RETENTION, influx_store


@pytest.fixture(params=["sqlite", "influxdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "influxdb":
        made = influx_store(request.getfixturevalue("influxdb"))
    else:
        made = SqliteStore(tmp_path / "beats.sqlite", RETENTION, writable=True)
        made.migrate()
    yield made
    made.close()
