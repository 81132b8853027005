"""The state that the commands use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.states import new_state


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A migrated state, in the data directory of the commands."""
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path))
    for name in ("URL", "ORG", "TOKEN"):
        monkeypatch.delenv(f"INFLUXDB_V2_{name}", raising=False)
    engine = new_state(tmp_path / "state.sqlite")
    yield engine
    engine.dispose()
