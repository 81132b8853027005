"""The audit trail: rows of `audit`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from monitor.state.access_tables import audit
from monitor.state.database import database_now


class AuditEntry(NamedTuple):
    """One change."""

    id: int
    at: int
    """In ms, from the database's clock."""
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
    """Records a change, in the transaction of the change itself.

    `who`: the name of a user or token, or "command line". `what`: such as "channel changed".
    `subject`: the name of what was changed; `detail`: JSON, without secrets.
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
    """For `detail`: the changed values, by name, old and new."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: {"from": old.get(name), "to": new.get(name)} for name in names}


def listed(connection: Connection, limit: int, before: int | None = None) -> list[AuditEntry]:
    """The newest entries first; `before`: only entries with a lower id."""
    query = select(*(audit.c[name] for name in AuditEntry._fields)).order_by(audit.c.id.desc())
    if before is not None:
        query = query.where(audit.c.id < before)
    return [AuditEntry(*row) for row in connection.execute(query.limit(limit))]
