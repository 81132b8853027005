"""Fixtures: every store, and a migrated state."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.state.database import open_state
from monitor.state.migrating import migrate
from tests.store.conftest import store

__all__ = ["state", "store"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    """A SQLite state: history queries do not depend on the database."""
    engine = open_state(f"sqlite:///{tmp_path}/state.db")
    migrate(engine)
    yield engine
    engine.dispose()
