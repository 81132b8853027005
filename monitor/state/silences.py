"""Silences and maintenance: rows of `silence` and `maintenance`, with unparsed matchers and times.

A transaction that holds a message reads the rows with `deciding`, which locks them. A transaction
that ends a silence waits for it, and then finds and releases the held message. So no message waits
for a silence that has ended.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, case, insert, or_, select, update

from monitor.model import ZONE_OFFSET
from monitor.state.tables import maintenance, notification, silence

MOST_PAST = 200
"""The maximum number of ended silences in a list, the newest first."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SilenceRow(NamedTuple):
    """One silence; times in ms. It has no effect if it ends before it starts."""

    id: int
    matchers: tuple[str, ...]
    starts_at: int
    ends_at: int
    comment: str
    created_by: str
    created_at: int


class MaintenanceRow(NamedTuple):
    """One maintenance. `start` and `stop` are those of the first window, in local time."""

    id: int
    name: str
    matchers: tuple[str, ...]
    zone: str
    start: str
    stop: str
    recurrence: str | None
    created_by: str
    created_at: int
    ended_at: int | None


_SILENCE = select(*(silence.c[name] for name in SilenceRow._fields)).order_by(silence.c.id)
_MAINTENANCE = select(*(maintenance.c[name] for name in MaintenanceRow._fields)).order_by(
    maintenance.c.id
)


def add_silence(
    connection: Connection,
    matchers: list[str],
    starts_at: int,
    ends_at: int,
    comment: str,
    created_by: str,
    now: int,
) -> int:
    """Adds a silence. Returns its id."""
    added = insert(silence).values(
        matchers=matchers,
        starts_at=starts_at,
        ends_at=ends_at,
        comment=comment,
        created_by=created_by,
        created_at=now,
    )
    return int(connection.execute(added.returning(silence.c.id)).scalar_one())


def add_maintenance(
    connection: Connection,
    name: str,
    matchers: list[str],
    zone: str,
    start: str,
    stop: str,
    recurrence: str | None,
    created_by: str,
    now: int,
) -> int:
    """Adds a maintenance. Returns its id."""
    added = insert(maintenance).values(
        name=name,
        matchers=matchers,
        zone=zone,
        start=start,
        stop=stop,
        recurrence=recurrence,
        created_by=created_by,
        created_at=now,
    )
    return int(connection.execute(added.returning(maintenance.c.id)).scalar_one())


def end_silence(connection: Connection, number: int, now: int) -> bool:
    """Ends a silence now, even before its start; False if it has ended or does not exist."""
    ended = connection.execute(
        update(silence)
        .where(silence.c.id == number, silence.c.ends_at > now)
        .values(
            starts_at=case((silence.c.starts_at > now, now), else_=silence.c.starts_at),
            ends_at=now,
        )
    )
    release_held(connection, now)
    return ended.rowcount == 1


def end_maintenance(connection: Connection, number: int, now: int) -> bool:
    """Ends a maintenance and its recurrence; False if it has ended or does not exist."""
    ended = connection.execute(
        update(maintenance)
        .where(maintenance.c.id == number, maintenance.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    release_held(connection, now)
    return ended.rowcount == 1


def release_held(connection: Connection, now: int) -> None:
    """Makes all held messages due, so that notifiers check again whether they are muted.

    Call it after the change of a silence or maintenance, in the same transaction.
    """
    # A message that another transaction has locked is being checked there, and sees the change.
    waiting = (
        select(notification.c.id)
        .where(notification.c.state == "pending", notification.c.held_until.is_not(None))
        .with_for_update(skip_locked=True)
    )
    connection.execute(
        update(notification).where(notification.c.id.in_(waiting)).values(next_attempt_at=now)
    )


def deciding(
    connection: Connection, since: int, now: int
) -> tuple[list[SilenceRow], list[MaintenanceRow]]:
    """As `in_force`; no other transaction can change them until this one ends."""
    return _in_force(connection, since, now, True)


def in_force(
    connection: Connection, since: int, now: int
) -> tuple[list[SilenceRow], list[MaintenanceRow]]:
    """Silences that have not ended at `now`, and maintenance that may have a window after
    `since`."""
    return _in_force(connection, since, now, False)


def _in_force(
    connection: Connection, since: int, now: int, locked: bool
) -> tuple[list[SilenceRow], list[MaintenanceRow]]:
    # In any time zone. Texts in this format sort like times.
    earliest = (_EPOCH + timedelta(milliseconds=since - ZONE_OFFSET)).strftime("%Y-%m-%dT%H:%M")
    lasting = _SILENCE.where(silence.c.ends_at > now)
    planned = _MAINTENANCE.where(
        or_(maintenance.c.ended_at.is_(None), maintenance.c.ended_at > since),
        or_(maintenance.c.recurrence.is_not(None), maintenance.c.stop > earliest),
    )
    if locked:
        lasting, planned = lasting.with_for_update(read=True), planned.with_for_update(read=True)
    return _silences(connection, lasting), _maintenances(connection, planned)


def past_silences(connection: Connection, now: int) -> list[SilenceRow]:
    """The silences that have ended at `now`, at most MOST_PAST, the last ended first."""
    query = _SILENCE.where(silence.c.ends_at <= now).order_by(None)
    return _silences(connection, query.order_by(silence.c.ends_at.desc()).limit(MOST_PAST))


def find_silence(connection: Connection, number: int) -> SilenceRow | None:
    """One silence, which may have ended; None if it does not exist."""
    return next(iter(_silences(connection, _SILENCE.where(silence.c.id == number))), None)


def find_maintenance(connection: Connection, number: int) -> MaintenanceRow | None:
    """One maintenance, which may have ended; None if it does not exist."""
    query = _MAINTENANCE.where(maintenance.c.id == number)
    return next(iter(_maintenances(connection, query)), None)


def newest_maintenance(connection: Connection) -> list[MaintenanceRow]:
    """The newest maintenance first, with ended ones."""
    query = _MAINTENANCE.order_by(None).order_by(maintenance.c.id.desc()).limit(MOST_PAST)
    return _maintenances(connection, query)


def _silences(connection: Connection, query: Select[Any]) -> list[SilenceRow]:
    rows = [SilenceRow(*row) for row in connection.execute(query)]
    return [row._replace(matchers=tuple(row.matchers)) for row in rows]


def _maintenances(connection: Connection, query: Select[Any]) -> list[MaintenanceRow]:
    rows = [MaintenanceRow(*row) for row in connection.execute(query)]
    return [row._replace(matchers=tuple(row.matchers)) for row in rows]
