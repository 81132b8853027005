"""Ingest tokens: shown once when made, kept only as SHA-256 of their 256 random bits."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from monitor.state.tables import token


class NameTaken(Exception):
    """A token of this name exists or existed: names stay unique so that the log stays clear."""


class Token(NamedTuple):
    """What may be shown of a token; moments in ms."""

    name: str
    created_at: int
    revoked_at: int | None


def digest(secret: str) -> bytes:
    """What is stored and compared instead of the secret (32 bytes)."""
    return hashlib.sha256(secret.encode()).digest()


def create(connection: Connection, name: str, now: int) -> str:
    """The new secret, which can't be read again later. Raises NameTaken."""
    if connection.execute(select(token.c.id).where(token.c.name == name)).first():
        raise NameTaken(f"there is, or was, a token named {name!r}; choose another name")
    secret = "hbm_" + secrets.token_urlsafe(32)
    connection.execute(insert(token).values(name=name, digest=digest(secret), created_at=now))
    return secret


def revoke(connection: Connection, name: str, now: int) -> bool:
    """End a token; False when there is no such token in force."""
    ended = connection.execute(
        update(token)
        .where(token.c.name == name, token.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return ended.rowcount == 1


def listed(connection: Connection) -> list[Token]:
    """All tokens ever made, in the order they were made."""
    rows = connection.execute(
        select(token.c.name, token.c.created_at, token.c.revoked_at).order_by(token.c.id)
    )
    return [Token(*row) for row in rows]


def active(connection: Connection) -> tuple[bool, frozenset[bytes]]:
    """Whether any token was ever made (then one is required), and the digests in force."""
    rows = connection.execute(select(token.c.digest, token.c.revoked_at)).all()
    return bool(rows), frozenset(bytes(row.digest) for row in rows if row.revoked_at is None)
