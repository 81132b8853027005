"""Connections and transactions of the state database: SQLite, or PostgreSQL in production."""

import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    NullPool,
    Select,
    Table,
    create_engine,
    event,
    literal_column,
    make_url,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from monitor.damage import damage
from monitor.errors import StateUnavailable
from monitor.outgoing import trust

Value = TypeVar("Value")

BUSY = 10
"""Seconds that a transaction waits for a lock."""

GREATEST = 2**63 - 1
"""The greatest integer that the state can hold."""

_PAGE = 2_000

_UNDEFINED_TABLE = "42P01"  # PostgreSQL's code


def open_state(url: str) -> Engine:
    """Opens the engine of a URL such as sqlite:////var/lib/monitor/state.db or postgresql://…/name.

    It connects later, and can be used after a fork. Errors show statements without their values,
    which may be private. Raises sqlalchemy.exc.ArgumentError for a bad URL.
    """
    parsed = make_url(url)
    return _open_sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _open_server(parsed)


def _open_sqlite(url: URL) -> Engine:
    if url.database:
        Path(url.database).absolute().parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, hide_parameters=True, poolclass=NullPool, connect_args={"timeout": BUSY}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions: `begin` does
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Two readers that become writers would deadlock, so a writer locks at its start.
        immediate = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _open_server(url: URL) -> Engine:
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    # The server ends an idle transaction, so that a stopped process does not keep its locks.
    timeouts = f"-c lock_timeout={BUSY}s -c idle_in_transaction_session_timeout={2 * BUSY}s"
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=BUSY,
        connect_args={
            "connect_timeout": BUSY,
            "tcp_user_timeout": 2000 * BUSY,
            "options": timeouts,
            **_authorities(url),
        },
    )
    opened = weakref.ref(engine)

    def forget_parents_connections() -> None:
        inherited = opened()
        if inherited is not None:
            inherited.dispose(close=False)

    os.register_at_fork(after_in_child=forget_parents_connections)
    return engine


def _authorities(url: URL) -> dict[str, str]:
    """Only for modes that always verify. In the others, the file would turn verification on, and
    the driver would continue without TLS if it fails."""
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE", "")
    named = "sslrootcert" in url.query or "PGSSLROOTCERT" in os.environ
    file = trust.authorities_file()
    if not file or named or mode not in ("verify-ca", "verify-full"):
        return {}
    return {"sslrootcert": file}


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One snapshot of the state, for queries only. Raises StateUnavailable."""
    options: dict[str, Any] = {}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _translated(engine), engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: committed at the end, rolled back by any exception.

    Raises StateUnavailable; then the transaction is rolled back, except if the connection was lost
    during the commit.
    """
    with (
        _translated(engine),
        engine.connect().execution_options(writing=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolExhausted) as error:
        hindrance = _hindrance(error, engine.url.database)
        if hindrance is None:
            raise
        raise StateUnavailable(hindrance) from error


def _hindrance(error: DBAPIError | PoolExhausted, database: str | None) -> str | None:
    """Why the state is unavailable; None for an error of this program.

    It is the driver's text, without the statement and its values, which may be private.
    """
    cause = getattr(error, "orig", None) or error
    words = str(cause).strip()
    if getattr(cause, "sqlstate", None) == _UNDEFINED_TABLE or words.startswith("no such table"):
        return f"the state has no tables, or not all of them: run `monitor migrate` ({words})"
    if words.startswith("attempt to write a readonly database"):
        return (
            f"can't write to {database}: let the user who runs `monitor` write to the file and its "
            f"directory ({words})"
        )
    passing = isinstance(error, OperationalError | InterfaceError | PoolExhausted)
    invalidated = getattr(error, "connection_invalidated", False)
    return damage(cause, database) or (words if passing or invalidated else None)


def database_now(connection: Connection) -> ColumnElement[int]:
    """The time of the database's clock as an SQL expression (ms): the same for all processes."""
    if connection.dialect.name == "sqlite":
        expression = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
    else:
        expression = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    return literal_column(expression, BigInteger())


def in_pages(
    engine: Engine, query: Select[Any], keys: Sequence[Column[Any]], after: Sequence[int]
) -> Iterator[Sequence[Any]]:
    """The rows with keys greater than `after`, ordered by the keys, which `query` must select.

    Each page is a short transaction, which has ended when the caller gets the rows: a reader of
    SQLite blocks the commits of writers. Raises StateUnavailable.
    """
    while True:
        page = query.where(tuple_(*keys) > tuple_(*after)).order_by(*keys).limit(_PAGE)
        with reading(engine) as connection:
            rows = connection.execute(page).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = [rows[-1]._mapping[key.name] for key in keys]


def insert_unless_there(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT for a row that another transaction may insert at the same time. It has
    `on_conflict_do_nothing` and `on_conflict_do_update`, unlike SQLAlchemy's generic INSERT."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def in_chunks(values: Iterable[Value]) -> Iterator[list[Value]]:
    """Splits the values into lists that are short enough for IN in one statement."""
    remaining = list(values)
    for start in range(0, len(remaining), 500):
        yield remaining[start : start + 500]
