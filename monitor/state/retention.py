"""Retention: deletes old rows, some at a time.

Each step finds a few rows in one short transaction and deletes them in another, so that neither a
sweep on SQLite nor a notifier on PostgreSQL waits for long.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    delete,
    exists,
    or_,
    select,
)

from monitor.model import SECOND, ZONE_OFFSET
from monitor.state import leases, logins, tally, throttle
from monitor.state.access_tables import audit, login, login_failure
from monitor.state.database import reading, writing
from monitor.state.leases import Lease
from monitor.state.tables import (
    alert_group,
    attempt,
    incident,
    maintenance,
    notification,
    notification_incident,
    pause,
    refusal,
    silence,
    suppression,
)

_ROWS = 200
"""Rows that one transaction deletes, besides the rows that depend on them."""

_MERGED = 5_000
"""Rows of counts that one transaction merges."""


class RetentionConfig(NamedTuple):
    """For how long (ms) rows are kept after their end."""

    incidents: int
    """Incidents with their messages, pauses of sensors, silences and maintenance."""
    audit: int


class Step(NamedTuple):
    """A query for the keys of rows to delete, the oldest first, and how to delete them."""

    find: Select[Any]
    remove: Callable[[Connection, Collection[Any]], None]


def prune(
    engine: Engine, lease: Lease, kept: RetentionConfig, now: int, go_on: Callable[[], bool]
) -> int:
    """Deletes rows that are older than `kept`, and merges counts. Returns the number of rows found.

    Calls `go_on`, which may sleep, after each transaction, and stops if it is false. Raises
    StateUnavailable, LeaseLost.
    """
    found = 0
    for step in _steps(kept, now):
        while keys := _keys(engine, step):
            with writing(engine) as connection:
                leases.fence(connection, lease)
                step.remove(connection, keys)
            found += len(keys)
            if not go_on():
                return found
    while tally.can_be_merged(engine):
        with writing(engine) as connection:
            leases.fence(connection, lease)
            tally.merge(connection, _MERGED)
        if not go_on():
            break
    return found


def _keys(engine: Engine, step: Step) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.scalars(step.find.limit(_ROWS)))


def _steps(kept: RetentionConfig, now: int) -> Iterator[Step]:
    """In the order that the foreign keys require."""
    before = now - kept.incidents
    yield Step(
        _older(incident.c.id, incident.c.closed_at, before),
        _removing(suppression.c.incident_id, notification_incident.c.incident_id, incident.c.id),
    )
    # A message is kept for as long as an incident that it includes.
    has_incidents = exists().where(notification_incident.c.notification_id == notification.c.id)
    yield Step(
        _older(notification.c.id, notification.c.finished_at, before).where(~has_incidents),
        _removing(attempt.c.notification_id, notification.c.id),
    )
    of_group = (
        exists().where(table.c.group_id == alert_group.c.id) for table in (incident, notification)
    )
    yield Step(
        _older(alert_group.c.id, alert_group.c.closed_at, before).where(~or_(*of_group)),
        _removing(alert_group.c.id),
    )
    yield Step(_older(refusal.c.mac, refusal.c.at, before), _removing(refusal.c.mac))
    yield Step(_older(pause.c.id, pause.c.stop, before), _removing(pause.c.id))
    yield Step(_older(silence.c.id, silence.c.ends_at, before), _removing(silence.c.id))
    yield Step(select(maintenance.c.id).where(_ended(before)), _removing(maintenance.c.id))
    yield Step(_older(audit.c.id, audit.c.at, now - kept.audit), _removing(audit.c.id))
    yield Step(select(login.c.digest).where(logins.ended(now)), _removing(login.c.digest))
    failed = login_failure.c
    yield Step(
        _older(failed.digest, failed.failed_at, now - throttle.FORGOTTEN), _removing(failed.digest)
    )


def _older(key: Column[Any], ended_at: Column[Any], before: int) -> Select[Any]:
    return select(key).where(ended_at < before).order_by(ended_at)


def _removing(*columns: Column[Any]) -> Callable[[Connection, Collection[Any]], None]:
    """Deletes the rows of each column's table that have one of the keys in it."""

    def remove(connection: Connection, keys: Collection[Any]) -> None:
        for column in columns:
            connection.execute(delete(column.table).where(column.in_(keys)))

    return remove


def _ended(before: int) -> ColumnElement[bool]:
    """Whether maintenance ended before `before`, in any time zone. Recurring maintenance does not
    end by itself."""
    latest = datetime.fromtimestamp((before - ZONE_OFFSET) / SECOND, UTC).strftime("%Y-%m-%dT%H:%M")
    once = and_(maintenance.c.recurrence.is_(None), maintenance.c.stop < latest)
    return or_(maintenance.c.ended_at < before, once)
