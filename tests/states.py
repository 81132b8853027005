"""Fixtures for tests of the state: each runs on SQLite and on PostgreSQL.

A conftest.py takes them with `from tests.states import state, state_url`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.state.database import migrate, open_state
from tests import postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, not migrated."""
    if request.param == "postgresql":
        return postgres.fresh_database()
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def state(state_url: str) -> Iterator[Engine]:
    """A state with all tables and nothing in them."""
    engine = open_state(state_url)
    migrate(engine)
    yield engine
    engine.dispose()


@contextmanager
def nobody_in_the_file(state: Engine) -> Iterator[None]:
    """A process stopped within a transaction would hold a lock on the SQLite file for good."""
    if state.dialect.name != "sqlite":
        yield
        return
    with closing(sqlite3.connect(str(state.url.database), 10, isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        yield
        file.execute("ROLLBACK")
