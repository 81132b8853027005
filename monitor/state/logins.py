"""In which browsers people are logged in: rows of `login`, known by the digest of a secret."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from monitor.model import DAY, MINUTE
from monitor.state.access_tables import login, user

IDLE = DAY
"""A login not used for so long has ended (ms); an open page uses it."""

LONGEST = 14 * DAY
"""After so long everybody logs in anew (ms)."""

NOTED_EVERY = 5 * MINUTE
"""How exactly it is noted when a login was used (ms)."""


class Login(NamedTuple):
    """Who is logged in, and whether it is time to note that they still are."""

    user_id: int
    name: str
    role: str
    to_note: bool


def start(connection: Connection, user_id: int, now: int) -> str:
    """The secret for the browser's cookie."""
    connection.execute(delete(login).where(ended(now)))
    secret = secrets.token_urlsafe(32)
    row = {"digest": _digest(secret), "user_id": user_id, "created_at": now, "seen_at": now}
    connection.execute(insert(login).values(row))
    return secret


def ended(now: int) -> ColumnElement[bool]:
    """Which logins no longer count at `now`."""
    return (login.c.created_at <= now - LONGEST) | (login.c.seen_at <= now - IDLE)


def find(connection: Connection, secret: str, now: int) -> Login | None:
    """None once it has ended, or while the person may not log in."""
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
    """It was used."""
    mine = login.c.digest == _digest(secret)
    connection.execute(update(login).where(mine).values(seen_at=now))


def end(connection: Connection, secret: str) -> None:
    """Harmless to repeat."""
    connection.execute(delete(login).where(login.c.digest == _digest(secret)))


def end_all(connection: Connection, user_id: int) -> int:
    """In how many browsers the person was logged in, and is no more."""
    return connection.execute(delete(login).where(login.c.user_id == user_id)).rowcount


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
