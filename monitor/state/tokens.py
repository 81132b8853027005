"""API tokens: rows of `token`. Only the SHA-256 of the 256 random bits is stored."""

import hashlib
import hmac
import secrets
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from monitor.errors import Conflict, Invalid
from monitor.state.access_tables import token
from monitor.state.database import insert_unless_there

INGEST = "ingest"
"""The role that may only send heartbeats."""

ROLES = (INGEST, "viewer", "operator", "administrator")
"""From `viewer` on, each role has the permissions of the one before it."""


class Token(NamedTuple):
    """A token without its secret; times in ms."""

    name: str
    role: str
    created_at: int
    revoked_at: int | None


def check_name(name: str) -> None:
    """Raises Invalid if a token can't have this name."""
    if not (0 < len(name) <= 80 and name.isprintable()):
        raise Invalid("name", "must be 1 to 80 printable characters")


def digest(secret: str) -> bytes:
    """The digest of a secret (32 bytes), which is stored and compared."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def create(connection: Connection, name: str, now: int, role: str = INGEST) -> str:
    """Creates a token. Returns its secret, which can't be read later. Raises Conflict for a name
    that was ever used, because the audit trail has it."""
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
    """Revokes a token; False if there is no valid token with this name."""
    ended = connection.execute(
        update(token)
        .where(token.c.name == name, token.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return ended.rowcount == 1


def listed(connection: Connection) -> list[Token]:
    """All tokens, with revoked ones, in the order they were created."""
    columns = (token.c.name, token.c.role, token.c.created_at, token.c.revoked_at)
    rows = connection.execute(select(*columns).order_by(token.c.id))
    return [Token(*row) for row in rows]


def find(connection: Connection, secret: str) -> Token | None:
    """The valid token with this secret; None if there is none."""
    given = digest(secret)
    row = connection.execute(
        select(
            token.c.name, token.c.role, token.c.created_at, token.c.revoked_at, token.c.digest
        ).where(token.c.digest == given, token.c.revoked_at.is_(None))
    ).first()
    # The time of the index lookup depends only on digests, and that of this line on nothing.
    if row is None or not hmac.compare_digest(bytes(row.digest), given):
        return None
    return Token(row.name, row.role, row.created_at, row.revoked_at)


def active(connection: Connection) -> tuple[bool, frozenset[bytes]]:
    """(whether any ingest token was ever created: then sensors need one, digests of valid ones)."""
    rows = connection.execute(
        select(token.c.digest, token.c.revoked_at).where(token.c.role == INGEST)
    ).all()
    return bool(rows), frozenset(bytes(row.digest) for row in rows if row.revoked_at is None)
