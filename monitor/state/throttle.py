"""Slows down guessing of passwords: after some failures, each attempt must wait longer."""

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, or_, select, update

from monitor.model import HOUR, MINUTE, SECOND
from monitor.state.access_tables import login_failure as failure
from monitor.state.database import insert_unless_there

FORGOTTEN = HOUR
"""Failures are forgotten this long (ms) after the last one."""

MOST = 50_000
"""The maximum number of rows; beyond it, the oldest failures are forgotten."""


class Guarded(NamedTuple):
    """What is protected by a limit on failed attempts, such as an account."""

    kind: str
    name: str
    free: int
    """Failures without a wait."""
    longest: int
    """The wait doubles with each failure, up to this (ms)."""

    @property
    def digest(self) -> bytes:
        """The stored key (32 bytes)."""
        return hashlib.sha256(f"{self.kind}\0{self.name}".encode("utf-8", "replace")).digest()

    def wait(self, failures: int) -> int:
        """The wait (ms) after this many failures."""
        return (
            min(SECOND << min(failures - self.free, 30), self.longest)
            if (failures >= self.free)
            else 0
        )


def user(number: int) -> Guarded:
    """A user's account, from all addresses. Short waits: others must not lock the user out."""
    return Guarded("user", str(number), 30, MINUTE)


def name(text: str) -> Guarded:
    """A name that no user has. As `user`: a wait does not show whether the user exists."""
    return Guarded("name", text, 30, MINUTE)


def address(text: str) -> Guarded:
    """An IP address, which many users may share."""
    return Guarded("address", text, 10, MINUTE)


def at(account: Guarded, address: Guarded) -> Guarded:
    """One account from one address: after some free failures, at most 12 attempts an hour."""
    return _strict(f"{account.kind} at address", f"{account.name}\0{address.name}")


def device(mark: str) -> Guarded:
    """A browser in which this user has logged in before: `web.auth.devices`."""
    return _strict("device", mark)


def login(secret: str) -> Guarded:
    """A login whose user enters the password again."""
    return _strict("login", secret)


def _strict(kind: str, name: str) -> Guarded:
    return Guarded(kind, name, 3, 5 * MINUTE)


def begin(connection: Connection, guarded: Collection[Guarded], now: int) -> int:
    """Starts an attempt. Returns 0, or how long (ms) to wait before trying again.

    The attempt counts as failed until `succeeded` is called, so that simultaneous attempts count.
    """
    found = _locked(connection, guarded)
    failures = {
        one: found[one.digest].failures if found[one.digest].failed_at > now - FORGOTTEN else 0
        for one in guarded
    }
    waits = [found[one.digest].blocked_until - now for one in guarded if failures[one]]
    if any(wait > 0 for wait in waits):
        return max(waits)
    for one in guarded:
        number = failures[one] + 1
        values = {"failures": number, "failed_at": now, "blocked_until": now + one.wait(number)}
        connection.execute(update(failure).where(failure.c.digest == one.digest).values(**values))
    _forget(connection, now)
    return 0


def succeeded(connection: Connection, own: Guarded, others: Collection[Guarded] = ()) -> None:
    """Records a success: forgets the failures of `own`, and uncounts the attempt for `others`."""
    connection.execute(delete(failure).where(failure.c.digest == own.digest))
    for one in sorted(others, key=lambda one: one.digest):
        connection.execute(
            update(failure)
            .where(failure.c.digest == one.digest, failure.c.failures > 0)
            .values(failures=failure.c.failures - 1, blocked_until=0)
        )


def _locked(connection: Connection, guarded: Collection[Guarded]) -> dict[bytes, "_Row"]:
    """digest -> row. Locks the rows until the transaction ends."""
    digests = sorted(one.digest for one in guarded)  # in one order, to avoid deadlocks
    for digest in digests:
        fresh = {"digest": digest, "failures": 0, "failed_at": 0, "blocked_until": 0}
        connection.execute(
            insert_unless_there(connection, failure)
            .values(fresh)
            .on_conflict_do_update(index_elements=[failure.c.digest], set_={"digest": digest})
        )
    columns = (failure.c.digest, *(failure.c[name] for name in _Row._fields))
    rows = connection.execute(select(*columns).where(failure.c.digest.in_(digests)))
    return {bytes(row.digest): _Row(*row[1:]) for row in rows}


class _Row(NamedTuple):
    failures: int
    failed_at: int
    blocked_until: int


def _forget(connection: Connection, now: int) -> None:
    newest_first = select(failure.c.failed_at).order_by(failure.c.failed_at.desc())
    surplus = newest_first.offset(MOST).limit(1).scalar_subquery()
    forgotten = or_(failure.c.failed_at <= now - FORGOTTEN, failure.c.failed_at <= surplus)
    old = select(failure.c.digest).where(forgotten)
    connection.execute(
        delete(failure).where(failure.c.digest.in_(old.with_for_update(skip_locked=True)))
    )
