"""Logins of users in browsers: rows of `login`, found by the digest of a secret."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from monitor.model import DAY, MINUTE
from monitor.state.access_tables import login, user

IDLE = DAY
"""A login ends after this long (ms) without use. An open page counts as use."""

LONGEST = 14 * DAY
"""A login ends after this long (ms), even if it is used."""

NOTED_EVERY = 5 * MINUTE
"""How often the use of a login is recorded (ms)."""


class Login(NamedTuple):
    """A valid login, and whether its use must be recorded."""

    user_id: int
    name: str
    role: str
    to_note: bool


def start(connection: Connection, user_id: int, now: int) -> str:
    """Logs a user in. Returns the secret for the browser's cookie."""
    connection.execute(delete(login).where(ended(now)))
    secret = secrets.token_urlsafe(32)
    row = {"digest": _digest(secret), "user_id": user_id, "created_at": now, "seen_at": now}
    connection.execute(insert(login).values(row))
    return secret


def ended(now: int) -> ColumnElement[bool]:
    """The condition on `login` that it has ended at `now`."""
    return (login.c.created_at <= now - LONGEST) | (login.c.seen_at <= now - IDLE)


def find(connection: Connection, secret: str, now: int) -> Login | None:
    """The login with this secret; None if it has ended, or if the user is not active."""
    row = connection.execute(
        select(user.c.id, user.c.name, user.c.role, login.c.seen_at)
        .join_from(login, user)
        .where(
            login.c.digest == _digest(secret),
            login.c.created_at > now - LONGEST,
            login.c.seen_at > now - IDLE,
            user.c.active,
        )
    ).first()
    if row is None:
        return None
    return Login(row.id, row.name, row.role, row.seen_at <= now - NOTED_EVERY)


def note(connection: Connection, secret: str, now: int) -> None:
    """Records that a login was used."""
    mine = login.c.digest == _digest(secret)
    connection.execute(update(login).where(mine).values(seen_at=now))


def end(connection: Connection, secret: str) -> None:
    """Ends a login, if it exists."""
    connection.execute(delete(login).where(login.c.digest == _digest(secret)))


def end_all(connection: Connection, user_id: int) -> int:
    """Ends all logins of a user. Returns how many."""
    return connection.execute(delete(login).where(login.c.user_id == user_id)).rowcount


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
