"""The store in a SQLite file. One process writes to it, any number read it."""

import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

import msgspec

from monitor.damage import damage
from monitor.model import DAY, HOUR, Heartbeat, Seen
from monitor.store import packing, sql
from monitor.store.interface import (
    Arrivals,
    Bucket,
    CoverageSpan,
    Cursor,
    Gap,
    StoreRejected,
    StoreUnavailable,
)
from monitor.store.refusals import check_metric, sift
from monitor.store.slots import slot

_ROWS_PER_INSERT = 250
"""Rows in one INSERT statement."""

_BUSY = 5.0
_ROWS_PER_TRANSACTION = 20_000

_metrics = msgspec.json.Decoder(dict[str, float]).decode


class _Connections:
    """The connections of one process: SQLite connections can't be used after a fork."""

    def __init__(self) -> None:
        self.idle: list[sqlite3.Connection] = []
        self.writing = threading.Lock()
        self.writer: sqlite3.Connection | None = None


class SqliteStore:
    """The store in a file.

    Only one process at a time may open it `writable`: the shipper's, or `monitor migrate`. Any
    number of others can read. They raise StoreUnavailable until the file exists.
    """

    def __init__(self, path: Path, retention: int, writable: bool = False) -> None:
        """`retention` in ms."""
        self._path, self._retention, self._writable = path, retention, writable
        self._connections: dict[int, _Connections] = {}

    def migrate(self) -> None:
        """Creates the file and its tables."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing() as connection:
            for statement in sql.SCHEMA.split(";"):
                connection.execute(statement)

    def _own(self) -> _Connections:
        return self._connections.setdefault(os.getpid(), _Connections())

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY,
            isolation_level=None,
            check_same_thread=False,
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection for one thread. Raises StoreUnavailable for driver errors."""
        idle = self._own().idle
        try:
            try:
                connection = idle.pop()
            except IndexError:
                connection = self._connect("ro")
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        idle.append(connection)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction. All writes and checkpoints use one connection, to avoid SQLite's
        WAL-reset bug."""
        own = self._own()
        with own.writing:
            try:
                if own.writer is None:
                    own.writer = self._connect_writer()
                connection = own.writer
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def _connect_writer(self) -> sqlite3.Connection:
        connection = self._connect("rwc" if self._writable else "ro")
        if self._writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -32000")
        return connection

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        return StoreUnavailable(damage(error, self._path) or f"{self._path.name}: {error}")

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Writes all heartbeats in one transaction."""
        beats, refused = sift(heartbeats)
        names: set[str] = set()
        newest: dict[int, tuple[int, int | None]] = {}
        rows = []
        for mac, moment, received, live, metrics in beats:
            text = None
            if metrics:
                names.update(metrics)
                text = msgspec.json.encode(metrics).decode()
            rows.append((mac, moment, received, live, text))
            seen, live_seen = newest.get(mac, (0, None))
            if live:
                newest[mac] = (max(seen, received), max(live_seen or 0, received))
            else:
                newest[mac] = (max(seen, moment), live_seen)
        # In key order, each page of the table is written once. The sort is stable, so that of two
        # rows with the same key the later one wins.
        rows.sort(key=lambda row: row[:2])
        with self._writing() as connection:
            _insert(connection, sql.APPEND, rows)
            _insert(connection, sql.LATEST, [(mac, *pair) for mac, pair in newest.items()])
            connection.executemany(
                "INSERT OR IGNORE INTO metric_name VALUES (?)", [(name,) for name in names]
            )
        if refused:
            raise StoreRejected(refused)

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Appends rows to the arrival log."""
        now = _now()
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO arrival (source, until, at, beats) VALUES (?, ?, ?, ?)",
                [(source, until, now, beats) for beats in packing.parts(seen)],
            )

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """The cursor's position is the last row read."""
        with self._reading() as connection:
            # Not the newest row: it may have expired.
            query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'arrival'"
            newest = connection.execute(query).fetchone()[0]
            if after is None:
                return Arrivals([], {}, Cursor(newest))
            if after.position > newest:
                after = Cursor(0)  # the cursor is from another store's log
            rows = connection.execute(
                "SELECT id, source, until, beats FROM arrival WHERE id > ? ORDER BY id",
                (after.position,),
            ).fetchall()
        seen: list[Seen] = []
        watermarks: dict[str, int] = {}
        for _, source, until, beats in rows:
            seen += packing.unpack(beats)
            watermarks[source] = max(until, watermarks.get(source, 0))
        return Arrivals(seen, watermarks, Cursor(rows[-1][0]) if rows else after)

    def add_coverage(self, span: CoverageSpan) -> None:
        """Replaces the row of the same source, start and hour."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pulse (source, slot, start, until, closing) "
                "VALUES (?, ?, ?, ?, ?)",
                (span.source, slot(span), span.start, span.until, span.closing),
            )

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        """Reads the rows that overlap [start, stop]."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT source, start, until, closing FROM pulse "
                "WHERE start <= ? AND until >= ? ORDER BY source, start, until",
                (stop, start),
            )
            return [
                CoverageSpan(source, begin, until, bool(is_closing))
                for source, begin, until, is_closing in rows
            ]

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """Read from the table `latest`."""
        column = "live_seen" if live else "seen"
        query = f"SELECT mac, {column} FROM latest WHERE {column} >= ?"  # noqa: S608 constant
        with self._reading() as connection:
            if macs is None:
                return dict(connection.execute(query, (since,)).fetchall())
            # The plus prevents SQLite from using the index on `seen`.
            query = f"SELECT mac, {column} FROM latest WHERE +{column} >= ?"  # noqa: S608 constant
            query += " AND mac IN (SELECT value FROM json_each(?))"
            return dict(connection.execute(query, (since, _listed(macs))).fetchall())

    def history(
        self, macs: Collection[int], start: int, stop: int, every: int, metric: str | None = None
    ) -> dict[int, list[Bucket]]:
        """Grouped by the database."""
        begin = start - start % every
        given: dict[str, int | str] = {
            "macs": _listed(macs), "begin": begin, "stop": stop, "every": every
        }  # fmt: skip
        if metric is not None:
            check_metric(metric)
            given["path"] = f"$.{metric}"
        query = sql.HISTORY.format(figures="" if metric is None else sql.FIGURES)
        counted: dict[int, dict[int, Bucket]] = {mac: {} for mac in macs}
        with self._reading() as connection:
            for mac, *figures in connection.execute(query, given):
                counted[mac][figures[0]] = Bucket(*figures)
        starts = range(begin, stop, every)
        return {
            mac: [buckets.get(moment) or Bucket(moment, 0) for moment in starts]
            for mac, buckets in counted.items()
        }

    def gaps(
        self, macs: Collection[int], start: int, stop: int, longer_than: int
    ) -> dict[int, list[Gap]]:
        """Computed by the database with the index: see sql.GAPS."""
        given = {"macs": _listed(macs), "start": start, "stop": stop, "longer_than": longer_than}
        found: dict[int, list[Gap]] = {mac: [] for mac in macs}
        with self._reading() as connection:
            for mac, before, after in connection.execute(sql.GAPS, given):
                found[mac].append(Gap(before, after))
        for gaps in found.values():
            gaps.sort(key=lambda gap: gap.before or 0)
        return found

    def newest(self, mac: int, before: int, limit: int) -> list[Heartbeat]:
        """Read with the index."""
        with self._reading() as connection:
            return [_beat(*row) for row in connection.execute(sql.NEWEST, (mac, before, limit))]

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """Reads one hour at a time: the caller may be slow, and SQLite's WAL grows as long as a
        reader keeps its transaction open."""
        listed = _listed(macs)
        with self._reading() as connection:
            first, last = connection.execute(sql.ENDS, (listed,)).fetchone()
            if first is None:
                return
            stop = min(stop, last + 1)
            for begin in range(max(start, first), stop, HOUR):
                span = (listed, begin, min(begin + HOUR, stop))
                with closing(connection.execute(sql.POINTS, span)) as rows:
                    for row in rows:
                        yield _beat(*row)

    def metric_names(self) -> set[str]:
        """Read from the table `metric_name`."""
        with self._reading() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM metric_name")}

    def forget(self, mac: int) -> None:
        """Only for the writable store."""
        with self._writing() as connection:
            connection.execute("DELETE FROM heartbeat WHERE mac = ?", (mac,))
            connection.execute("DELETE FROM latest WHERE mac = ?", (mac,))

    def expire(self, now: int) -> None:
        """Deletes in small transactions, so that other threads can write between them."""
        oldest = now - self._retention
        with self._writing() as connection:
            connection.execute("DELETE FROM arrival WHERE at < ?", (now - DAY,))
            connection.execute("DELETE FROM pulse WHERE until < ?", (oldest,))
            macs = [mac for (mac,) in connection.execute("SELECT mac FROM latest")]
        while macs:
            with self._writing() as connection:
                left = _ROWS_PER_TRANSACTION
                while macs and left > 0:
                    limits = {"mac": macs[-1], "oldest": oldest, "limit": left}
                    deleted = connection.execute(sql.EXPIRE, limits).rowcount
                    if deleted < left:
                        macs.pop()
                    left -= deleted + 1
        with self._writing() as connection:
            # An hour later: a heartbeat from a fast clock has a time after the moment of `seen`.
            connection.execute("DELETE FROM latest WHERE seen < ?", (oldest - HOUR,))

    def ping(self) -> int:
        """This host's time: a file has no clock."""
        with self._reading() as connection:
            connection.execute("SELECT 1 FROM latest LIMIT 1").fetchone()
        return _now()

    def close(self) -> None:
        """Closes this process's connections that no thread is using."""
        own = self._connections.pop(os.getpid(), None)
        if own is None:
            return
        for connection in own.idle:
            connection.close()
        if own.writer:
            own.writer.close()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _beat(mac: int, moment: int, received: int, live: int, text: str | None) -> Heartbeat:
    return Heartbeat(mac, moment, received, bool(live), _metrics(text) if text else None)


def _listed(macs: Collection[int]) -> str:
    return msgspec.json.encode(sorted(macs)).decode()


def _insert(
    connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """As executemany, but with many rows per statement. The driver releases the GIL for each
    statement, and has to wait for it if other threads are busy (measured: 170 µs per row with
    executemany, 20 µs with this function)."""
    for start in range(0, len(rows), _ROWS_PER_INSERT):
        some = rows[start : start + _ROWS_PER_INSERT]
        marks = f"({','.join('?' * len(some[0]))})"
        connection.execute(
            statement.format(rows=",".join([marks] * len(some))), list(chain.from_iterable(some))
        )
