"""Tokens: shown once when made, kept only as SHA-256 of their 256 random bits."""

import hashlib
import hmac
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from monitor.errors import Conflict, Invalid
from monitor.state.access_tables import token
from monitor.state.database import insert_unless_there

INGEST = "ingest"
"""The role that may send heartbeats, and nothing else."""

ROLES = (INGEST, "viewer", "operator", "administrator")
"""From `viewer` on, each may do what the one before it may."""


class Token(NamedTuple):
    """What may be shown of a token; moments in ms."""

    name: str
    role: str
    created_at: int
    revoked_at: int | None


def check_name(name: str) -> None:
    """Raises Invalid unless it can name a token."""
    if not (0 < len(name) <= 80 and name.isprintable()):
        raise Invalid("name", "must be 1 to 80 printable characters")


def digest(secret: str) -> bytes:
    """What is stored and compared instead of the secret (32 bytes)."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def create(connection: Connection, name: str, now: int, role: str = INGEST) -> str:
    """The new secret, which can't be read again later. Raises Conflict: names stay unique,
    so that the audit trail stays clear."""
    secret = "hbm_" + secrets.token_urlsafe(32)
    made = connection.execute(
        insert_unless_there(connection, token)
        .values(name=name, role=role, digest=digest(secret), created_at=now)
        .on_conflict_do_nothing(index_elements=[token.c.name])
        .returning(token.c.id)
    )
    if made.first() is None:
        raise Conflict(f"there is or was a token named {name!r}; choose another name", "name")
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
    columns = (token.c.name, token.c.role, token.c.created_at, token.c.revoked_at)
    rows = connection.execute(select(*columns).order_by(token.c.id))
    return [Token(*row) for row in rows]


def find(connection: Connection, secret: str) -> Token | None:
    """The token in force with this secret, of whatever role."""
    given = digest(secret)
    row = connection.execute(
        select(
            token.c.name, token.c.role, token.c.created_at, token.c.revoked_at, token.c.digest
        ).where(token.c.digest == given, token.c.revoked_at.is_(None))
    ).first()
    # How long the index takes tells of digests at most, and this line of nothing.
    if row is None or not hmac.compare_digest(bytes(row.digest), given):
        return None
    return Token(row.name, row.role, row.created_at, row.revoked_at)


def active(connection: Connection) -> tuple[bool, frozenset[bytes]]:
    """Whether any ingest token was ever made (then sensors need one), and the digests in force."""
    rows = connection.execute(
        select(token.c.digest, token.c.revoked_at).where(token.c.role == INGEST)
    ).all()
    return bool(rows), frozenset(bytes(row.digest) for row in rows if row.revoked_at is None)
