"""Incidents and alert groups: rows of `incident` and `alert_group`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from monitor.state.tables import alert_group, incident


class Incident(NamedTuple):
    """One outage of one sensor; moments and durations in ms."""

    id: int
    mac: int
    last_seen: int
    threshold: int
    proven: bool
    opened_at: int
    acknowledged_at: int | None
    closed_at: int | None
    closed_reason: str | None
    recovered_at: int | None
    group_id: int
    version: int


_COLUMNS = tuple(incident.c[name] for name in Incident._fields)


def changed_since(connection: Connection, version: int) -> list[Incident]:
    """Incidents changed after `version`; from 0 only the open ones."""
    query = select(*_COLUMNS).where(incident.c.version > version).order_by(incident.c.id)
    if version <= 0:
        query = query.where(incident.c.closed_at.is_(None))
    return [Incident(*row) for row in connection.execute(query)]


def open_incidents(connection: Connection) -> dict[int, Incident]:
    """mac -> its open incident."""
    return {row.mac: row for row in changed_since(connection, 0)}


def lock_groups(connection: Connection, ids: Iterable[int]) -> None:
    """Keep others from freezing messages of these groups until this transaction ends."""
    query = select(alert_group.c.id).where(alert_group.c.id.in_(sorted(ids)))
    connection.execute(query.order_by(alert_group.c.id).with_for_update()).all()


def open_groups(connection: Connection, cohorts: Iterable[str]) -> dict[str, int]:
    """cohort -> id of its open group; the groups found are locked."""
    query = select(alert_group.c.cohort, alert_group.c.id).where(
        alert_group.c.cohort.in_(list(cohorts)), alert_group.c.closed_at.is_(None)
    )
    rows = connection.execute(query.order_by(alert_group.c.id).with_for_update())
    return {row.cohort: row.id for row in rows}


def cohorts_of(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """group id -> cohort."""
    query = select(alert_group.c.id, alert_group.c.cohort).where(alert_group.c.id.in_(list(ids)))
    return {row.id: row.cohort for row in connection.execute(query)}


def open_group(connection: Connection, cohort: str, now: int) -> int:
    """A new group's id."""
    added = insert(alert_group).values(cohort=cohort, opened_at=now).returning(alert_group.c.id)
    return int(connection.execute(added).scalar_one())


def close_group(connection: Connection, group_id: int, now: int) -> None:
    """Nothing is owed for this group any more."""
    connection.execute(
        update(alert_group).where(alert_group.c.id == group_id).values(closed_at=now)
    )


def add(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert incidents; each row names mac, last_seen, threshold, proven, opened_at, group_id,
    version."""
    if rows:
        connection.execute(insert(incident), list(rows))


def change(connection: Connection, ids: Iterable[int], **values: object) -> None:
    """Set the same values on several incidents."""
    numbers = list(ids)
    for start in range(0, len(numbers), 500):
        chunk = numbers[start : start + 500]
        connection.execute(update(incident).where(incident.c.id.in_(chunk)).values(**values))
