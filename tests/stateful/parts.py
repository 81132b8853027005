"""The real components, on files that are created once and reset for each example."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Engine, QueuePool, event

from monitor.clock import Clock
from monitor.model import DAY, Heartbeat
from monitor.state.database import open_state
from monitor.state.migrating import migrate
from monitor.store.interface import Arrivals, CoverageSpan, Cursor, StoreUnavailable
from monitor.store.sqlite import SqliteStore

START = 1_800_000_000_000
RETENTION = 30 * DAY

_UNIX_EPOCH = 2_440_587.5  # as a Julian day


class SettableClock(Clock):
    """The clock of an example, set by the test and used by the databases too."""

    def __init__(self) -> None:
        super().__init__()
        self.time = START

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self.time


class ProcessKilled(BaseException):
    """Simulates the death of a process: nothing after this line happens."""


class Files:
    """The state and store of the current example."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="monitor-"))
        self.clock = SettableClock()
        self.state, self.store = self.directory / "state.db", self.directory / "beats.sqlite"
        self.engine = self._engine()
        self.notifiers_engine = self._engine()
        self.kill_at_next_transaction = False
        """Whether the notifier is killed at its next transaction."""
        event.listen(self.notifiers_engine, "begin", self._kill_at_transaction)
        migrate(self.engine)
        store = SqliteStore(self.store, RETENTION, writable=True)
        store.migrate()
        store.close()
        for path in (self.state, self.store):
            path.rename(path.with_suffix(".new"))

    def begin(self) -> None:
        """Reset the tables and the clock."""
        self.clock.time, self.kill_at_next_transaction = START, False
        self._close()
        for path in (self.state, self.store):
            for left in self.directory.glob(f"{path.name}*"):
                left.unlink()
            shutil.copyfile(path.with_suffix(".new"), path)

    def remove(self) -> None:
        """Delete the files."""
        self._close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _close(self) -> None:
        self.engine.dispose()
        self.notifiers_engine.dispose()

    def _engine(self) -> Engine:
        # Opening the file for each transaction takes a fifth of the time.
        with patch("monitor.state.database.NullPool", QueuePool):
            engine = open_state(f"sqlite:///{self.state}")
        event.listen(engine, "connect", self._set_database_clock)
        return engine

    def _set_database_clock(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.create_function("julianday", 1, lambda _now: self.clock.time / DAY + _UNIX_EPOCH)

    def _kill_at_transaction(self, _connection: Connection) -> None:
        if self.kill_at_next_transaction:
            self.kill_at_next_transaction = False
            raise ProcessKilled


class ReadStore(SqliteStore):
    """The store of a scheduler: it can be unavailable, or call a function during a query."""

    def __init__(self, files: Files) -> None:
        super().__init__(files.store, RETENTION)
        self._clock = files.clock
        self.unavailable = False
        self.queries: int | None = None
        """The number of queries answered before `callback` is called."""
        self.callback: Callable[[], None] | None = None

    def _before_query(self) -> None:
        if self.callback and self.queries is not None:
            self.queries -= 1
            if self.queries < 0:
                callback, self.callback = self.callback, None
                callback()
        if self.unavailable:
            raise StoreUnavailable("unavailable")

    def ping(self) -> int:
        self._before_query()
        return self._clock.now()

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        self._before_query()
        return super().coverage(start, stop)

    def arrivals(self, after: Cursor | None) -> Arrivals:
        self._before_query()
        return super().arrivals(after)

    def last_seen(self, *arguments: Any, **options: Any) -> dict[int, int]:
        self._before_query()
        return super().last_seen(*arguments, **options)

    def heartbeats(self, *arguments: Any, **options: Any) -> Iterator[Heartbeat]:
        self._before_query()
        return super().heartbeats(*arguments, **options)
