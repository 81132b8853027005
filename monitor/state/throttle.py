"""Guessing passwords is slow: after some failures each next try waits longer, on all hosts."""

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, or_, select, update

from monitor.model import HOUR, MINUTE, SECOND
from monitor.state.access_tables import login_failure as failure
from monitor.state.database import insert_unless_there

FORGOTTEN = HOUR
"""So long after the last failure (ms) they are forgotten."""

MOST = 50_000
"""Rows that are kept; beyond them the oldest failures are forgotten."""


class Guarded(NamedTuple):
    """What may be tried only so often. Each kind has names of its own: a user's id is no name."""

    kind: str
    name: str
    free: int
    """Failures without a wait."""
    longest: int
    """The wait doubles with each failure up to this (ms)."""

    @property
    def digest(self) -> bytes:
        """How it is stored."""
        return hashlib.sha256(f"{self.kind}\0{self.name}".encode("utf-8", "replace")).digest()

    def wait(self, failures: int) -> int:
        """After so many failures (ms)."""
        return (
            min(SECOND << min(failures - self.free, 30), self.longest)
            if (failures >= self.free)
            else 0
        )


def user(number: int) -> Guarded:
    """One user's account from anywhere: many places together may delay its owner, no more."""
    return Guarded("user", str(number), 30, MINUTE)


def name(text: str) -> Guarded:
    """As `user`, of a name that no user has: a wait does not show whether there is such a user."""
    return Guarded("name", text, 30, MINUTE)


def address(text: str) -> Guarded:
    """Many people may share one."""
    return Guarded("address", text, 10, MINUTE)


def at(account: Guarded, address: Guarded) -> Guarded:
    """One account from one address: some mistakes are free, then at most 12 tries an hour."""
    return _strict(f"{account.kind} at address", f"{account.name}\0{address.name}")


def device(mark: str) -> Guarded:
    """A browser in which its person has logged in before: `web.auth.devices`."""
    return _strict("device", mark)


def login(secret: str) -> Guarded:
    """A login that gives its password again."""
    return _strict("login", secret)


def _strict(kind: str, name: str) -> Guarded:
    return Guarded(kind, name, 3, 5 * MINUTE)


def begin(connection: Connection, guarded: Collection[Guarded], now: int) -> int:
    """0: try, and tell `succeeded` if it was right; else how long to wait (ms).

    The try counts as failed until then, so that many at the same moment are not one.
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
    """It was right: forget the failures of `own`, and count the last try of the others less."""
    connection.execute(delete(failure).where(failure.c.digest == own.digest))
    for one in sorted(others, key=lambda one: one.digest):
        connection.execute(
            update(failure)
            .where(failure.c.digest == one.digest, failure.c.failures > 0)
            .values(failures=failure.c.failures - 1, blocked_until=0)
        )


def _locked(connection: Connection, guarded: Collection[Guarded]) -> dict[bytes, "_Row"]:
    """Their rows, locked until the transaction ends."""
    digests = sorted(one.digest for one in guarded)  # all in one order: no two wait for each other
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
