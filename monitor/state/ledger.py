"""The ledger: which messages about an incident were sent, tried or not sent."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from monitor.model import Attempt, Facts, IncidentView, Sending, Suppression
from monitor.state import sensor_list
from monitor.state.database import in_chunks
from monitor.state.tables import (
    attempt,
    incident,
    notification,
    notification_incident,
    sensor,
    suppression,
)


class SentMessage(NamedTuple):
    """A frozen message and its incidents, the longest silent first."""

    id: int
    group_id: int
    channel: str
    kind: str
    frozen_at: int
    subject: str
    cases: list[IncidentView]


_MOST_BY_ADDRESS = 500
"""Up to this many sensors, incidents are looked up by MAC address."""

_CASE = (
    incident.c.id,
    incident.c.mac,
    sensor.c.name,
    sensor.c.site,
    *(incident.c[name] for name in IncidentView._fields[4:]),
)


def find(connection: Connection, number: int) -> IncidentView | None:
    """One incident; None if there is none with this id."""
    row = connection.execute(_cases().where(incident.c.id == number)).one_or_none()
    return IncidentView(*row) if row else None


def named(connection: Connection, numbers: Collection[int]) -> list[IncidentView]:
    """The incidents with these ids, without those that do not exist."""
    return [
        IncidentView(*row)
        for some in in_chunks(numbers)
        for row in connection.execute(_cases().where(incident.c.id.in_(some)))
    ]


def cases(
    connection: Connection,
    limit: int,
    *,
    mac: int | None = None,
    site: str | None = None,
    still_open: bool | None = None,
    since: int | None = None,
    before: int | None = None,
    acknowledged: bool | None = None,
    text: str = "",
) -> list[IncidentView]:
    """The newest incidents first, at most `limit`, with ids below `before`.

    `since`: open at that time (ms) or later; `text`: each of its words is in the sensor's name,
    site or MAC. Conditions that are None are ignored.
    """
    query = _cases().order_by(incident.c.id.desc()).limit(limit)
    of_sensor = sensor_list.conditions(connection, text)
    if site is not None:
        of_sensor.append(sensor.c.site == site)
    if of_sensor:
        query = query.where(*_of_sensors(connection, of_sensor))
    if mac is not None:
        query = query.where(incident.c.mac == mac)
    if still_open is not None:
        ended = incident.c.closed_at
        query = query.where(ended.is_(None) if still_open else ended.is_not(None))
    if acknowledged is not None:
        known = incident.c.acknowledged_at
        query = query.where(known.is_not(None) if acknowledged else known.is_(None))
    if since is not None:
        query = query.where(or_(incident.c.closed_at.is_(None), incident.c.closed_at >= since))
    if before is not None:
        query = query.where(incident.c.id < before)
    return [IncidentView(*row) for row in connection.execute(query)]


def _of_sensors(
    connection: Connection, conditions: Sequence[ColumnElement[bool]]
) -> Sequence[ColumnElement[bool]]:
    """Conditions on incidents for these conditions on sensors. For few sensors they use the index
    of MAC addresses; for many, reading the newest incidents soon finds some."""
    macs = list(
        connection.scalars(select(sensor.c.mac).where(*conditions).limit(_MOST_BY_ADDRESS + 1))
    )
    return conditions if len(macs) > _MOST_BY_ADDRESS else [incident.c.mac.in_(macs)]


def open_ones(connection: Connection) -> tuple[int, int]:
    """(open incidents, acknowledged ones among them)."""
    counts = select(func.count(), func.count(incident.c.acknowledged_at))
    row = connection.execute(counts.where(incident.c.closed_at.is_(None))).one()
    return int(row[0]), int(row[1])


def neighbours(connection: Connection, number: int, most: int) -> tuple[int, list[IncidentView]]:
    """(number of other incidents in the same group, the longest silent of them)."""
    group = select(incident.c.group_id).where(incident.c.id == number).scalar_subquery()
    others = (incident.c.group_id == group, incident.c.id != number)
    count = select(func.count()).select_from(incident).where(*others)
    query = _cases().where(*others).order_by(incident.c.last_seen, incident.c.id).limit(most)
    found = [IncidentView(*row) for row in connection.execute(query)]
    return int(connection.execute(count).scalar_one()), found


def message(connection: Connection, number: int) -> SentMessage | None:
    """The frozen message with this id; None if there is none."""
    columns = (
        notification.c.id,
        notification.c.group_id,
        notification.c.channel,
        notification.c.kind,
        notification.c.frozen_at,
        notification.c.body["subject"].as_string(),
    )
    row = connection.execute(
        select(*columns).where(notification.c.id == number, notification.c.frozen_at.is_not(None))
    ).one_or_none()
    if row is None:
        return None
    members = select(notification_incident.c.incident_id).where(
        notification_incident.c.notification_id == number
    )
    query = _cases().where(incident.c.id.in_(members))
    included = connection.execute(query.order_by(incident.c.last_seen, incident.c.id))
    return SentMessage(*row, [IncidentView(*one) for one in included])


def facts(connection: Connection, found: Collection[IncidentView]) -> list[Facts]:
    """The facts about these incidents, in the same order."""
    sendings: dict[int, list[Sending]] = defaultdict(list)
    suppressions: dict[int, list[Suppression]] = defaultdict(list)
    for ids in in_chunks([case.id for case in found]):
        rows = connection.execute(_sendings(ids)).all()
        attempts = _attempts(connection, {row.id for row in rows})
        for number, *columns in rows:
            sending = Sending(*columns)
            sendings[number].append(sending._replace(attempts=attempts[sending.id]))
        for number, *columns in connection.execute(_suppressions(ids)):
            suppressions[number].append(Suppression(*columns))
    return [Facts(case, sendings[case.id], suppressions[case.id]) for case in found]


def _cases() -> Select[Any]:
    return select(*_CASE).join(sensor, sensor.c.mac == incident.c.mac, isouter=True)


def _sendings(ids: Collection[int]) -> Select[Any]:
    """(incident id, columns of Sending) of messages that include an incident, and of those of its
    group that were not frozen yet while it was open."""
    includes_incident = exists().where(
        notification_incident.c.notification_id == notification.c.id,
        notification_incident.c.incident_id == incident.c.id,
    )
    written_at = func.coalesce(notification.c.frozen_at, notification.c.finished_at)
    could_include = and_(
        or_(written_at.is_(None), written_at >= incident.c.opened_at),
        or_(incident.c.closed_at.is_(None), notification.c.created_at <= incident.c.closed_at),
    )
    of_its_group = notification.c.group_id == incident.c.group_id
    return (
        select(
            incident.c.id.label("incident_id"),
            notification.c.id,
            notification.c.channel,
            notification.c.kind,
            notification.c.delay,
            notification.c.state,
            notification.c.next_attempt_at,
            notification.c.held_until,
            notification.c.frozen_at,
            notification.c.finished_at,
            notification.c.outcome,
            notification.c.body["subject"].as_string(),
            includes_incident,
            notification.c.recipient,
        )
        .join_from(incident, notification, of_its_group)
        .where(incident.c.id.in_(ids), or_(includes_incident, could_include))
        .order_by(notification.c.id)
    )


def _attempts(connection: Connection, ids: Collection[int]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = defaultdict(list)
    for chunk in in_chunks(sorted(ids)):
        query = (
            select(attempt.c.notification_id, attempt.c.at, attempt.c.result, attempt.c.detail)
            .where(attempt.c.notification_id.in_(chunk))
            .order_by(attempt.c.id)
        )
        for number, *columns in connection.execute(query):
            found[number].append(Attempt(*columns))
    return found


def _suppressions(ids: Collection[int]) -> Select[Any]:
    return (
        select(suppression.c.incident_id, *(suppression.c[name] for name in Suppression._fields))
        .where(suppression.c.incident_id.in_(ids))
        .order_by(suppression.c.id)
    )
