"""Reads from the state what `recipients` decides on, and what `message` writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    exists,
    func,
    or_,
    select,
    true,
)

from monitor.model import FLEET, Held, Member, MessageContext
from monitor.outbox.notifications import UNFINISHED
from monitor.outbox.recipients import Candidate, Due
from monitor.state import incidents
from monitor.state.tables import (
    alert_group,
    incident,
    notification,
    notification_incident,
    refusal,
    sensor,
)

Hold = Callable[[Connection, Mapping[int, Member], str, int], Mapping[int, Held]]
"""(connection, incident id -> member, kind, now) -> incident id -> why it is held now."""

_STRONGEST = ("sent", "waiting", "failed")
"""States of a down message. If an incident is in several messages, the first state here counts."""


_AFTER_DOWN = ("reminder", "recovered")
"""Kinds that report only incidents whose down message was sent."""


@dataclass(frozen=True, slots=True)
class RecipientConfig:
    """The rules for a channel's messages."""

    hold: Hold
    tracks: bool = False
    """Its receiver tracks each sensor: it needs every closed incident and every member."""
    budget: int | None = None
    """The daily message limit: the most messages in 24 hours."""
    recipients: Sequence[str] = ()
    """Empty unless the channel has several. Each recipient has messages of its own."""


def load(connection: Connection, row: Any, due: Due) -> tuple[dict[int, Candidate], bool]:
    """Reads the candidates of a message: incident id -> candidate, the longest silent first.

    Also returns whether earlier recovery messages report other incidents of the group; False for
    other kinds. `row` is its row of `notification`. The caller holds the group's lock.
    """
    in_group = incident.c.group_id == row.group_id
    covering = _in_message(row, due.kind, due.created_at if due.kind == "reminder" else 0)
    conditions = (in_group, _eligible(due), ~covering)
    down = _down_messages(connection, row, conditions) if due.kind in _AFTER_DOWN else {}
    query = _members(*conditions).add_columns(
        incident.c.acknowledged_at, incident.c.closed_reason, incident.c.closed_at
    )
    found = {}
    for number, *values, acknowledged_at, reason, closed_at in connection.execute(query):
        found[number] = Candidate(
            _member(values),
            acknowledged_at is not None,
            reason,
            closed_at or acknowledged_at,
            *down.get(number, ()),
        )
    if due.kind != "recovered":
        return found, False
    covered = select(incident.c.id).where(in_group, covering).limit(1)
    return found, connection.execute(covered).first() is not None


def _eligible(due: Due) -> ColumnElement[bool]:
    """Whether a message of this kind can report an incident."""
    is_open = incident.c.closed_at.is_(None)
    if due.kind == "down":
        ended_at = func.coalesce(incident.c.closed_at, incident.c.acknowledged_at)
        return or_(is_open, ended_at >= due.created_at)
    if due.kind == "reminder":
        return is_open
    if due.kind == "flapping":  # the first incident of an episode
        return incident.c.flapping_since == incident.c.opened_at
    return ~is_open


def _in_message(row: Any, kind: str, since: int) -> ColumnElement[bool]:
    """Whether a message of this kind to the same channel and recipient reports an incident.

    Messages count if they were frozen after `since` and did not fail.
    """
    # Aliases, because the query around it may select from the same tables.
    other, member = notification.alias("other"), notification_incident.alias("member")
    return exists().where(
        member.c.incident_id == incident.c.id,
        member.c.notification_id == other.c.id,
        other.c.channel == row.channel,
        _same_recipient(other, row),
        other.c.kind == kind,
        other.c.state.in_((*UNFINISHED, "sent")),
        other.c.frozen_at > since,
    )


def _down_messages(
    connection: Connection, row: Any, conditions: Sequence[ColumnElement[bool]]
) -> dict[int, tuple[str, int | None]]:
    """incident id -> (state, next attempt) of its down message to this channel and recipient."""
    query = (
        select(incident.c.id, notification.c.state, notification.c.next_attempt_at)
        .select_from(notification.join(notification_incident).join(incident))
        .where(
            notification.c.channel == row.channel,
            _same_recipient(notification, row),
            notification.c.kind == "down",
            notification.c.state.in_((*UNFINISHED, "sent", "failed")),
            *conditions,
        )
    )
    found: dict[int, tuple[str, int | None]] = {}
    for number, state, next_attempt_at in connection.execute(query):
        seen = ("waiting", next_attempt_at) if state in UNFINISHED else (state, None)
        found[number] = min(found.get(number, seen), seen, key=lambda s: _STRONGEST.index(s[0]))
    return found


def _same_recipient(of: FromClause, row: Any) -> ColumnElement[bool]:
    """Whether a message went to the row's recipient. One without a recipient went to all."""
    if row.recipient is None:
        return true()
    return or_(of.c.recipient == row.recipient, of.c.recipient.is_(None))


def reported(connection: Connection, notification_id: int) -> dict[int, Member]:
    """The members of a frozen message, by incident id."""
    named = exists().where(
        notification_incident.c.incident_id == incident.c.id,
        notification_incident.c.notification_id == notification_id,
    )
    return {number: _member(values) for number, *values in connection.execute(_members(named))}


def _members(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Selects the incident id and the fields of `Member`, the longest silent first."""
    return (
        select(
            incident.c.id,
            incident.c.mac,
            sensor.c.name,
            sensor.c.site,
            incident.c.last_seen,
            incident.c.threshold,
            incident.c.proven,
            incident.c.opened_at,
            func.coalesce(incident.c.recovered_at, incident.c.closed_at),
            sensor.c.labels,
            incident.c.usual_interval,
            incident.c.interruptions,
            incident.c.flapping_since,
            refusal.c.at,
            refusal.c.reason,
        )
        .join(sensor, sensor.c.mac == incident.c.mac, isouter=True)
        .join(refusal, refusal.c.mac == incident.c.mac, isouter=True)
        .where(*conditions)
        .order_by(incident.c.last_seen, incident.c.mac)
    )


def _member(values: Sequence[Any]) -> Member:
    member = Member(*values)
    return member if member.labels is not None else member._replace(labels={})


def context(
    connection: Connection, row: Any, members: Sequence[Member], now: int
) -> MessageContext:
    """What a message about these members can mention."""
    group = connection.execute(
        select(alert_group.c.cohort, alert_group.c.opened_at).where(
            alert_group.c.id == row.group_id
        )
    ).one()
    silent = connection.execute(
        select(func.count()).where(
            incident.c.group_id == row.group_id, incident.c.closed_at.is_(None)
        )
    ).scalar_one()
    sites = {member.site for member in members}
    site = sites.pop() if len(sites) == 1 else None
    fleet_wide = group.cohort == FLEET
    neighbours, neighbours_silent = None, 0
    if fleet_wide or site is not None:
        neighbours, neighbours_silent = _neighbours(connection, None if fleet_wide else site)
    return MessageContext(
        notification=row.id,
        channel=row.channel,
        kind=row.kind,
        time=now,
        thread=incidents.thread(row.group_id, group.opened_at),
        escalated=row.delay > 0,
        members=list(members),
        silent=silent,
        fleet_wide=fleet_wide,
        site=site,
        neighbours=neighbours,
        neighbours_silent=neighbours_silent,
    )


def _neighbours(connection: Connection, site: str | None) -> tuple[int, int]:
    """Counts the sensors of a site, and those with an open incident. None: the whole fleet."""
    counted = [sensor.c.forgotten_at.is_(None), ~sensor.c.paused]
    if site is not None:
        counted.append(sensor.c.site == site)
    of_all = connection.execute(select(func.count()).select_from(sensor).where(*counted))
    silent = connection.execute(
        select(func.count())
        .select_from(sensor.join(incident, incident.c.mac == sensor.c.mac))
        .where(*counted, incident.c.closed_at.is_(None))
    )
    return of_all.scalar_one(), silent.scalar_one()
