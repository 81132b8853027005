"""Incidents and alert groups: rows of `incident` and `alert_group`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from monitor.state import tally
from monitor.state.database import GREATEST, in_chunks, in_pages
from monitor.state.tables import alert_group, incident, notification


class Incident(NamedTuple):
    """One outage of one sensor; times and durations in ms."""

    id: int
    mac: int
    last_seen: int
    threshold: int
    proven: bool
    opened_at: int
    flapping_since: int | None
    acknowledged_at: int | None
    closed_at: int | None
    closed_reason: str | None
    recovered_at: int | None
    group_id: int
    version: int


class AlertGroup(NamedTuple):
    """Incidents of one cohort and one route, which share messages."""

    id: int
    cohort: str
    route: str


_COLUMNS = tuple(incident.c[name] for name in Incident._fields)
_EVIDENCE = {True: "proven", False: "presumed"}
_GROUP = (alert_group.c.id, alert_group.c.cohort, alert_group.c.route)


def newer(engine: Engine, version: int) -> Iterator[Incident]:
    """Incidents changed after `version`, in the order of their changes; for 0, only open ones.

    Read the current version first: changes may be committed while the rows are read.

    Raises StateUnavailable.
    """
    query = select(*_COLUMNS)
    if version <= 0:
        query = query.where(incident.c.closed_at.is_(None))
    keys = incident.c.version, incident.c.id
    return (Incident(*row) for row in in_pages(engine, query, keys, (version, GREATEST)))


def open_incidents(connection: Connection) -> dict[int, Incident]:
    """mac -> its open incident."""
    query = select(*_COLUMNS).where(incident.c.closed_at.is_(None)).order_by(incident.c.id)
    return {row.mac: Incident(*row) for row in connection.execute(query)}


def history(
    connection: Connection, macs: Iterable[int], since: int
) -> dict[int, list[tuple[int, int | None]]]:
    """mac -> (opened at, flapping since) of its incidents opened after `since`, in order."""
    found: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for chunk in in_chunks(macs):
        query = select(incident.c.mac, incident.c.opened_at, incident.c.flapping_since).where(
            incident.c.mac.in_(chunk), incident.c.opened_at > since
        )
        for row in connection.execute(query.order_by(incident.c.id)):
            found[row.mac].append((row.opened_at, row.flapping_since))
    return found


def lock_groups(connection: Connection, ids: Iterable[int]) -> dict[int, AlertGroup]:
    """Locks groups: id -> group. No other transaction can freeze their messages until this one
    ends."""
    locked = {}
    for chunk in in_chunks(sorted(ids)):
        query = select(*_GROUP).where(alert_group.c.id.in_(chunk))
        for row in connection.execute(query.order_by(alert_group.c.id).with_for_update()):
            locked[row.id] = AlertGroup(*row)
    return locked


def lock_open_groups(connection: Connection) -> dict[int, AlertGroup]:
    """Locks all open groups: id -> group. They stay open until this transaction ends.

    Waits for transactions that are closing groups, and leaves out those groups.
    """
    query = select(*_GROUP).where(alert_group.c.closed_at.is_(None)).order_by(alert_group.c.id)
    return {row.id: AlertGroup(*row) for row in connection.execute(query.with_for_update())}


def unreported(connection: Connection, ids: Iterable[int]) -> set[int]:
    """The groups among these of which no message is frozen."""
    groups = set(ids)
    for chunk in in_chunks(sorted(groups)):
        query = select(notification.c.group_id).where(
            notification.c.group_id.in_(chunk), notification.c.frozen_at.is_not(None)
        )
        groups -= set(connection.scalars(query.distinct()))
    return groups


def open_group(connection: Connection, cohort: str, route: str, now: int) -> int:
    """Creates a group. Returns its id."""
    added = insert(alert_group).values(cohort=cohort, route=route, opened_at=now)
    return int(connection.execute(added.returning(alert_group.c.id)).scalar_one())


def thread(group: int, opened_at: int) -> str:
    """The thread of all messages about one group."""
    return f"heartbeat-monitor-{group}-{opened_at}"


def threads(connection: Connection, groups: Iterable[int]) -> dict[int, str]:
    """group -> its thread."""
    columns = alert_group.c.id, alert_group.c.opened_at
    return {
        group: thread(group, opened_at)
        for chunk in in_chunks(groups)
        for group, opened_at in connection.execute(select(*columns).where(columns[0].in_(chunk)))
    }


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts incidents, and counts them. Each row has all columns without a default."""
    if not rows:
        return
    connection.execute(insert(incident), list(rows))
    tally.add(connection, "opened", Counter((_EVIDENCE[bool(row["proven"])],) for row in rows))
    late = (row["opened_at"] - row["last_seen"] - row["threshold"] for row in rows)
    tally.add_latencies(connection, "decided", (), late)


def still_open(connection: Connection, ids: Iterable[int]) -> dict[int, Incident]:
    """id -> incident, for the open ones among these."""
    return {
        row.id: Incident(*row)
        for chunk in in_chunks(ids)
        for row in connection.execute(
            select(*_COLUMNS).where(incident.c.id.in_(chunk), incident.c.closed_at.is_(None))
        )
    }


def open_ids(connection: Connection, macs: Iterable[int]) -> dict[int, int]:
    """mac -> id of its open incident."""
    columns = incident.c.mac, incident.c.id
    return {
        row.mac: row.id
        for chunk in in_chunks(macs)
        for row in connection.execute(
            select(*columns).where(incident.c.mac.in_(chunk), incident.c.closed_at.is_(None))
        )
    }


def change(connection: Connection, changes: Mapping[int, Mapping[str, object]]) -> None:
    """Changes incidents: id -> the columns to set, the same ones for all."""
    if not changes:
        return
    columns = next(iter(changes.values()))
    statement = (
        update(incident)
        .where(incident.c.id == bindparam("key"))
        .values({name: bindparam(f"new_{name}") for name in columns})
    )
    connection.execute(
        statement,
        [
            {"key": number, **{f"new_{name}": value for name, value in values.items()}}
            for number, values in changes.items()
        ],
    )
