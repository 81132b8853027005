"""Fixtures: every store, and a migrated state."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.states import new_state
from tests.store.conftest import store

__all__ = ["state", "store"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    """A SQLite state: history queries do not depend on the database."""
    engine = new_state(tmp_path / "state.db")
    yield engine
    engine.dispose()
