"""Every store, with a state beside it."""

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
    """What matters to the past is read alike from either database."""
    engine = open_state(f"sqlite:///{tmp_path}/state.db")
    migrate(engine)
    yield engine
    engine.dispose()
