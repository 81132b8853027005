"""Concurrency tests on PostgreSQL, which allows several writers; SQLite allows one at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text

from monitor.state.database import open_state
from monitor.state.migrating import migrate
from tests import postgres
from tests.waiting import eventually

Work = Callable[[], object]


class Sides(NamedTuple):
    """The engines of two processes on one database; the first can be held at its commit."""

    first: Engine
    second: Engine


@pytest.fixture
def sides() -> Iterator[Sides]:
    url = postgres.fresh_database()
    both = Sides(open_state(url), open_state(url))
    migrate(both.first)
    yield both
    for engine in both:
        engine.dispose()


@contextmanager
def held_commit(engine: Engine) -> Iterator[tuple[Event, Event]]:
    """(reached, go): the next commit of this engine sets `reached` and waits for `go`, with all
    its locks."""
    reached, go = Event(), Event()

    def hold(_connection: Connection) -> None:
        reached.set()
        assert go.wait(60)

    event.listen(engine, "commit", hold)
    try:
        yield reached, go
    finally:
        go.set()
        event.remove(engine, "commit", hold)


def overlap(sides: Sides, first: Work, second: Work) -> tuple[Future[object], Future[object]]:
    """Run `first` up to its commit, then `second` until it waits for a lock or ends, then let
    both end. Each uses its own engine."""
    with held_commit(sides.first) as (reached, go), ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        eventually(lambda: reached.is_set() or one.done(), 30)
        two = pool.submit(second)
        eventually(lambda: two.done() or _someone_waits(sides.first), 30)
        go.set()
    return one, two


def _someone_waits(engine: Engine) -> bool:
    # a separate connection: the engine's commits are held
    watcher = create_engine(engine.url, poolclass=NullPool)
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with watcher.connect() as connection:
        return bool(connection.execute(query).scalar_one())
