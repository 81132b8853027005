"""The real parts, on files that a test run lays out once and each example begins anew."""

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


class Hand(Clock):
    """The one clock of an example, moved by the test; the databases read it too."""

    def __init__(self) -> None:
        super().__init__()
        self.time = START

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self.time


class Died(BaseException):
    """A process ended here: nothing after this line happened."""


class Files:
    """State and store of one example at a time."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        self.directory = Path(
            tempfile.mkdtemp(prefix="monitor-", dir=memory if memory.is_dir() else None)
        )
        self.hand = Hand()
        self.state, self.store = self.directory / "state.db", self.directory / "beats.sqlite"
        self.engine = self._engine()
        self.notifiers_engine = self._engine()
        self.mortal = False
        """Whether the notifier dies at its next transaction."""
        event.listen(self.notifiers_engine, "begin", self._maybe_die)
        migrate(self.engine)
        store = SqliteStore(self.store, RETENTION, writable=True)
        store.migrate()
        store.close()
        for path in (self.state, self.store):
            path.rename(path.with_suffix(".new"))

    def begin(self) -> None:
        """Empty tables, and the first moment."""
        self.hand.time, self.mortal = START, False
        self._close()
        for path in (self.state, self.store):
            for left in self.directory.glob(f"{path.name}*"):
                left.unlink()
            shutil.copyfile(path.with_suffix(".new"), path)

    def remove(self) -> None:
        """At the end of the run."""
        self._close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _close(self) -> None:
        self.engine.dispose()
        self.notifiers_engine.dispose()

    def _engine(self) -> Engine:
        # To open the file for each transaction would take a fifth of the time.
        with patch("monitor.state.database.NullPool", QueuePool):
            engine = open_state(f"sqlite:///{self.state}")
        event.listen(engine, "connect", self._give_it_our_clock)
        return engine

    def _give_it_our_clock(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.create_function("julianday", 1, lambda _now: self.hand.time / DAY + _UNIX_EPOCH)

    def _maybe_die(self, _connection: Connection) -> None:
        if self.mortal:
            self.mortal = False
            raise Died


class ReadStore(SqliteStore):
    """The schedulers' store: it can be away, and something may happen while it answers."""

    def __init__(self, files: Files) -> None:
        super().__init__(files.store, RETENTION)
        self._hand = files.hand
        self.away = False
        self.questions: int | None = None
        """How many more are answered before `interlude`."""
        self.interlude: Callable[[], None] | None = None

    def _asked(self) -> None:
        if self.interlude and self.questions is not None:
            self.questions -= 1
            if self.questions < 0:
                interlude, self.interlude = self.interlude, None
                interlude()
        if self.away:
            raise StoreUnavailable("as told")

    def ping(self) -> int:
        self._asked()
        return self._hand.now()

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        self._asked()
        return super().coverage(start, stop)

    def arrivals(self, after: Cursor | None) -> Arrivals:
        self._asked()
        return super().arrivals(after)

    def last_seen(self, *arguments: Any, **options: Any) -> dict[int, int]:
        self._asked()
        return super().last_seen(*arguments, **options)

    def heartbeats(self, *arguments: Any, **options: Any) -> Iterator[Heartbeat]:
        self._asked()
        return super().heartbeats(*arguments, **options)
