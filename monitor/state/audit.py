"""Who changed what, for good: rows of `audit`. One line each where something is written."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from monitor.state.access_tables import audit
from monitor.state.database import database_now


class AuditEntry(NamedTuple):
    """One change."""

    id: int
    at: int
    """By the database's clock, in ms."""
    who: str
    what: str
    subject: str
    detail: dict[str, Any]


def record(
    connection: Connection,
    who: str,
    what: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """To be kept with the change itself, in its transaction.

    `who`: a person's or token's name, or "command line"; `what`: as in "channel changed";
    `subject`: the name of what was changed; `detail`: what can be JSON, and never a secret.
    """
    connection.execute(
        insert(audit).values(
            at=database_now(connection),
            who=who[:200],
            what=what,
            subject=subject[:300],
            detail=dict(detail or {}),
        )
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """For `detail`: what of these values changed, by name, from what to what."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: {"from": old.get(name), "to": new.get(name)} for name in names}


def listed(connection: Connection, limit: int, before: int | None = None) -> list[AuditEntry]:
    """The newest first; `before`: only entries with a lower number."""
    query = select(*(audit.c[name] for name in AuditEntry._fields)).order_by(audit.c.id.desc())
    if before is not None:
        query = query.where(audit.c.id < before)
    return [AuditEntry(*row) for row in connection.execute(query.limit(limit))]
