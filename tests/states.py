"""Fixtures for tests of the state: each runs on SQLite and on PostgreSQL.

A conftest.py takes them with `from tests.states import state, state_url`.
"""

import functools
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from monitor.state.database import open_state
from monitor.state.migrating import migrate
from tests import postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; with the fixture `state`, the URL of that state."""
    migrated = "state" in request.fixturenames
    if request.param == "postgresql":
        return postgres.fresh_database(_migrated_database() if migrated else postgres.EMPTY)
    file = tmp_path / "state.db"
    if migrated:
        file.write_bytes(_migrated_file())
    return f"sqlite:///{file}"


@pytest.fixture
def state(state_url: str) -> Iterator[Engine]:
    """A migrated, empty state."""
    engine = open_state(state_url)
    yield engine
    engine.dispose()


def new_state(file: Path) -> Engine:
    """A migrated, empty state in a SQLite file; copying is faster than migrating."""
    file.write_bytes(_migrated_file())
    return open_state(f"sqlite:///{file}")


@functools.cache
def _migrated_database() -> str:
    """The name of a migrated template database; copying is faster than migrating."""
    url = postgres.fresh_database()
    _migrate(url)
    return str(make_url(url).database)


@functools.cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "state.db")
        _migrate(f"sqlite:///{file}")
        return file.read_bytes()


def _migrate(url: str) -> None:
    engine = open_state(url)
    migrate(engine)
    engine.dispose()


@contextmanager
def sqlite_file_locked(state: Engine) -> Iterator[None]:
    """Lock the SQLite file, so that a process suspended inside holds no lock on it."""
    if state.dialect.name != "sqlite":
        yield
        return
    with closing(sqlite3.connect(str(state.url.database), 10, isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        yield
        file.execute("ROLLBACK")
