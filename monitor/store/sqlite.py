"""The embedded store: one SQLite file with one writing process, read by any number."""

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from monitor.model import DAY, Heartbeat, Seen
from monitor.store import packing
from monitor.store.interface import Arrivals, Bucket, Cursor, Pulse, StoreUnavailable
from monitor.store.slots import slot

_SCHEMA = """
CREATE TABLE IF NOT EXISTS heartbeat (
    mac INTEGER NOT NULL, time INTEGER NOT NULL, received INTEGER NOT NULL,
    live INTEGER NOT NULL, metrics TEXT,
    PRIMARY KEY (mac, time)
) WITHOUT ROWID;
-- The newest proof of life of each sensor, so that last seen costs one row.
CREATE TABLE IF NOT EXISTS latest (
    mac INTEGER PRIMARY KEY, seen INTEGER NOT NULL, live_seen INTEGER
);
CREATE INDEX IF NOT EXISTS latest_seen ON latest (seen);
CREATE TABLE IF NOT EXISTS pulse (
    source TEXT NOT NULL, slot INTEGER NOT NULL, start INTEGER NOT NULL,
    until INTEGER NOT NULL, closing INTEGER NOT NULL,
    PRIMARY KEY (source, slot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arrival (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, until INTEGER NOT NULL,
    at INTEGER NOT NULL, beats TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS arrival_at ON arrival (at);
CREATE TABLE IF NOT EXISTS metric_name (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_APPEND = """
INSERT INTO heartbeat (mac, time, received, live, metrics) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (mac, time) DO UPDATE SET
    received = excluded.received,
    live = max(live, excluded.live),
    metrics = CASE WHEN metrics IS NULL THEN excluded.metrics
        WHEN excluded.metrics IS NULL THEN metrics
        ELSE json_patch(metrics, excluded.metrics) END
"""

_LATEST = """
INSERT INTO latest (mac, seen, live_seen) VALUES (?, ?, ?)
ON CONFLICT (mac) DO UPDATE SET
    seen = max(seen, excluded.seen),
    live_seen = max(coalesce(live_seen, excluded.live_seen),
                    coalesce(excluded.live_seen, live_seen))
"""

_CHUNK = 500
_BUSY = 5.0


class SqliteStore:
    """Opened `writable` by one process at a time (the shipper's, or `monitor migrate`)."""

    def __init__(self, path: Path, retention: int, writable: bool = False) -> None:
        """`retention` in ms."""
        self._path, self._retention, self._writable = path, retention, writable
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def migrate(self) -> None:
        """Create the file and its tables."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection; the driver's errors become StoreUnavailable."""
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._connect()
            yield connection
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path.name}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        mode = "rwc" if self._writable else "ro"
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY,
            isolation_level=None,
            check_same_thread=False,
        )
        if self._writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -32000")
        with self._lock:
            self._open.append(connection)
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """One transaction; refuses nothing."""
        names: set[str] = set()
        newest: dict[int, tuple[int, int | None]] = {}
        rows = []
        for mac, moment, received, live, metrics in heartbeats:
            text = None
            if metrics:
                names.update(metrics)
                text = json.dumps(metrics)
            rows.append((mac, moment, received, live, text))
            seen, live_seen = newest.get(mac, (0, None))
            if live:
                newest[mac] = (max(seen, received), max(live_seen or 0, received))
            else:
                newest[mac] = (max(seen, moment), live_seen)
        # In key order the pages of the table are written once.
        rows.sort(key=lambda row: row[:3])
        with self._transaction() as connection:
            connection.executemany(_APPEND, rows)
            connection.executemany(_LATEST, [(mac, *pair) for mac, pair in newest.items()])
            connection.executemany(
                "INSERT OR IGNORE INTO metric_name VALUES (?)", [(name,) for name in names]
            )

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Adds to the arrival log."""
        now = self.ping()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO arrival (source, until, at, beats) VALUES (?, ?, ?, ?)",
                [(source, until, now, beats) for beats in packing.parts(seen)],
            )

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """The cursor's position is the last row read."""
        with self._connection() as connection:
            if after is None:
                last = connection.execute("SELECT coalesce(max(id), 0) FROM arrival").fetchone()[0]
                return Arrivals([], {}, Cursor(last))
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

    def pulse(self, pulse: Pulse) -> None:
        """Replaces the row of the same source, start and hour."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pulse (source, slot, start, until, closing) "
                "VALUES (?, ?, ?, ?, ?)",
                (pulse.source, slot(pulse), pulse.start, pulse.until, pulse.closing),
            )

    def coverage(self, start: int, stop: int) -> list[Pulse]:
        """Pulses that touch [start, stop]."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT source, start, until, closing FROM pulse "
                "WHERE start <= ? AND until >= ? ORDER BY source, start, until",
                (stop, start),
            )
            return [Pulse(source, begin, end, bool(bye)) for source, begin, end, bye in rows]

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """From the table of newest proofs of life."""
        column = "live_seen" if live else "seen"
        query = f"SELECT mac, {column} FROM latest WHERE {column} >= ?"  # noqa: S608 ours
        with self._connection() as connection:
            if macs is None:
                return dict(connection.execute(query, (since,)).fetchall())
            found: dict[int, int] = {}
            for chunk in _chunks(macs):
                marks = ",".join("?" * len(chunk))
                rows = connection.execute(f"{query} AND mac IN ({marks})", (since, *chunk))
                found.update(rows.fetchall())
            return found

    def history(
        self, macs: Collection[int], start: int, stop: int, every: int, metric: str | None = None
    ) -> dict[int, list[Bucket]]:
        """Grouped by the database."""
        begin = start - start % every
        value = "CAST(json_extract(metrics, ?) AS REAL)"
        counted: dict[int, dict[int, Bucket]] = {mac: {} for mac in macs}
        with self._connection() as connection:
            for chunk in _chunks(macs):
                marks = ",".join("?" * len(chunk))
                rows = connection.execute(
                    f"SELECT mac, time - time % ?, count(*), min({value}), avg({value}), "  # noqa: S608
                    f"max({value}) FROM heartbeat WHERE mac IN ({marks}) AND time >= ? "
                    "AND time < ? GROUP BY 1, 2",
                    (every, *[f'$."{metric}"'] * 3, *chunk, begin, stop),
                )
                for mac, *figures in rows:
                    counted[mac][figures[0]] = Bucket(*figures)
        starts = range(begin, stop, every)
        return {
            mac: [buckets.get(moment) or Bucket(moment, 0) for moment in starts]
            for mac, buckets in counted.items()
        }

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """Read row by row from a connection of its own: the caller may take its time."""
        with self._connection():
            connection = self._connect()
        try:
            marks = ",".join("?" * len(macs))
            rows = connection.execute(
                f"SELECT mac, time, received, live, metrics FROM heartbeat "  # noqa: S608 marks
                f"WHERE mac IN ({marks}) AND time >= ? AND time < ? ORDER BY time, mac",
                (*macs, start, stop),
            )
            for mac, moment, received, live, text in rows:
                metrics: Mapping[str, float] | None = json.loads(text) if text else None
                yield Heartbeat(mac, moment, received, bool(live), metrics)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path.name}: {error}") from error
        finally:
            with self._lock:
                self._open.remove(connection)
            connection.close()

    def metric_names(self) -> set[str]:
        """Kept in a table of their own."""
        with self._connection() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM metric_name")}

    def forget(self, mac: int) -> None:
        """The writer only."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM heartbeat WHERE mac = ?", (mac,))
            connection.execute("DELETE FROM latest WHERE mac = ?", (mac,))

    def expire(self, now: int) -> None:
        """In small transactions, so that appending goes on between them."""
        oldest = now - self._retention
        with self._transaction() as connection:
            connection.execute("DELETE FROM arrival WHERE at < ?", (now - DAY,))
            connection.execute("DELETE FROM pulse WHERE until < ?", (oldest,))
            connection.execute("DELETE FROM latest WHERE seen < ?", (oldest,))
            macs = [mac for (mac,) in connection.execute("SELECT DISTINCT mac FROM heartbeat")]
        for chunk in _chunks(macs):
            with self._transaction() as connection:
                connection.executemany(
                    "DELETE FROM heartbeat WHERE mac = ? AND time < ?",
                    [(mac, oldest) for mac in chunk],
                )

    def ping(self) -> int:
        """This machine's time: the file has no other."""
        with self._connection() as connection:
            connection.execute("SELECT 1 FROM latest LIMIT 1").fetchone()
        return time.time_ns() // 1_000_000

    def close(self) -> None:
        """Closes the connections of all threads."""
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            connection.close()


def _chunks(macs: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(macs)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
