"""Whom a message tells of, decided once, when its text is frozen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, exists, func, not_, or_, select, true

from monitor.model import FLEET, Held, Member, MessageContext
from monitor.state import incidents
from monitor.state.tables import alert_group, incident, notification, notification_incident, sensor

Hold = Callable[[Connection, Mapping[int, Member], str, int], Mapping[int, Held]]
"""(connection, incident id -> member, kind, now) -> those that no message may report now."""

LIMIT_OF_TRACKING = 1_000
"""Members of one message to a receiver that keeps account of each."""


@dataclass(frozen=True, slots=True)
class RecipientConfig:
    """What a channel's messages are subject to."""

    hold: Hold
    tracks: bool = False
    """Its receiver keeps a state of its own: it gets every closing and every member."""
    budget: int | None = None
    """The most messages in 24 hours."""
    recipients: Sequence[str] = ()
    """Of a channel with several: each has messages of its own."""


class Decision(NamedTuple):
    """What becomes of a message that is due."""

    members: dict[int, Member]
    """incident id -> the member that it reports; empty: none for now."""
    later: int | None
    """When those left out have their turn."""
    held: Mapping[int, Held]
    """Those of the left out that are held back, and why."""
    gone: Mapping[int, str]
    """incident id -> why this channel no longer receives it."""


class Undeliverable(Exception):
    """The message has no members left; the text is the reason."""


class TooEarly(Exception):
    """The message it answers is still being tried, until about the time given (ms)."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


def decide(connection: Connection, row: Any, now: int, terms: RecipientConfig) -> Decision:
    """What the `notification` row is to tell of. Raises Undeliverable, TooEarly.

    The caller holds the group's lock.
    """
    candidates, gone = _CANDIDATES[row.kind](connection, row, terms)
    young = {number for number, who in candidates.items() if who.opened_at + row.delay > now}
    held = terms.hold(connection, candidates, row.kind, now)
    members = {
        number: who
        for number, who in candidates.items()
        if number not in young and number not in held
    }
    turns = [candidates[number].opened_at + row.delay for number in young - held.keys()]
    if row.kind != "reminder" or not members:  # who is held back is reminded with the others
        turns += [each.until for each in held.values()]
    if terms.tracks and len(members) > LIMIT_OF_TRACKING:
        members = dict(list(members.items())[:LIMIT_OF_TRACKING])
        turns.append(now)
    return Decision(members, min(turns, default=None), held, gone)


def occasion(
    connection: Connection, row: Any, members: Sequence[Member], now: int
) -> MessageContext:
    """What there is to say when the row tells of these members."""
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


def told(connection: Connection, notification_id: int) -> dict[int, Member]:
    """incident id -> those that a frozen message tells of."""
    named = exists().where(
        notification_incident.c.incident_id == incident.c.id,
        notification_incident.c.notification_id == notification_id,
    )
    return _members(connection, named)


def _newly_silent(
    connection: Connection, row: Any, _terms: RecipientConfig
) -> tuple[dict[int, Member], dict[int, str]]:
    """Open, not acknowledged, and this channel knows nothing of it yet."""
    in_group = incident.c.group_id == row.group_id
    untold = ~_told(row, ("down",), ("pending", "claimed", "sent"))
    silent = incident.c.closed_at.is_(None) & incident.c.acknowledged_at.is_(None)
    members = _members(connection, in_group, silent, untold)
    gone = {
        number: f"{reason or 'acknowledged'} before it was sent"
        for number, reason in connection.execute(
            select(incident.c.id, incident.c.closed_reason).where(
                in_group,
                untold,
                not_(silent),
                func.coalesce(incident.c.closed_at, incident.c.acknowledged_at) >= row.created_at,
            )
        )
    }
    if not members:
        raise Undeliverable(
            ", ".join(sorted(set(gone.values()))) or "an earlier message covers all incidents"
        )
    return members, gone


def _still_silent(
    connection: Connection, row: Any, terms: RecipientConfig
) -> tuple[dict[int, Member], dict[int, str]]:
    """Open, not acknowledged, and this channel was told, but not reminded since this was owed.

    A receiver that keeps account may have been restarted: it hears of the acknowledged ones too.
    """
    members = _members(
        connection,
        incident.c.group_id == row.group_id,
        incident.c.closed_at.is_(None),
        true() if terms.tracks else incident.c.acknowledged_at.is_(None),
        _told(row, ("down",), ("sent",)),
        ~_told(row, ("reminder",), ("pending", "claimed", "sent"), row.created_at),
    )
    if not members:
        raise Undeliverable("acknowledged or ended")
    return members, {}


def _flapping(
    connection: Connection, row: Any, _terms: RecipientConfig
) -> tuple[dict[int, Member], dict[int, str]]:
    """The first of an episode of incidents, and this channel knows nothing of it yet."""
    members = _members(
        connection,
        incident.c.group_id == row.group_id,
        incident.c.flapping_since == incident.c.opened_at,
        ~_told(row, ("flapping",), ("pending", "claimed", "sent")),
    )
    if not members:
        raise Undeliverable("an earlier message covers all incidents")
    return members, {}


def _back(
    connection: Connection, row: Any, terms: RecipientConfig
) -> tuple[dict[int, Member], dict[int, str]]:
    """Closed incidents of which this channel got the start but not the end."""
    in_group = incident.c.group_id == row.group_id
    over = incident.c.closed_reason == "recovered"
    if terms.tracks:
        over = incident.c.closed_at.is_not(None)
    untold = ~_told(row, ("recovered",), ("pending", "claimed", "sent"))
    answered = connection.execute(
        select(func.max(notification.c.next_attempt_at))
        .select_from(notification.join(notification_incident).join(incident))
        .where(
            notification.c.group_id == row.group_id,
            notification.c.channel == row.channel,
            _same_recipient(notification, row),
            notification.c.kind == "down",
            notification.c.state.in_(("pending", "claimed")),
            over,
            untold,
        )
    ).scalar()
    if answered is not None:
        raise TooEarly(answered)
    told_down = _told(row, ("down",), ("sent",))
    members = _members(connection, in_group, over, told_down, untold)
    if members:
        return members, {}
    if _members(connection, in_group, over, told_down):
        raise Undeliverable("an earlier message covers all incidents")
    if _members(connection, in_group, over, _told(row, ("down",), ("failed",))):
        raise Undeliverable("the down message was never delivered")
    raise Undeliverable("no alert was sent")


_CANDIDATES = {
    "down": _newly_silent,
    "reminder": _still_silent,
    "flapping": _flapping,
    "recovered": _back,
}


def _same_recipient(of: FromClause, row: Any) -> ColumnElement[bool]:
    """Whether a message went to the recipient of this row; one without went to all there were."""
    if row.recipient is None:
        return true()
    return or_(of.c.recipient == row.recipient, of.c.recipient.is_(None))


def _told(
    row: Any, kinds: Sequence[str], states: Sequence[str], since: int = 0
) -> ColumnElement[bool]:
    """Whether an incident is in a message of these kinds, frozen after `since`, in one of these
    states."""
    # Under names of their own, so that a query over the same tables does not mix them up.
    telling, member = notification.alias("telling"), notification_incident.alias("member")
    return exists().where(
        member.c.incident_id == incident.c.id,
        member.c.notification_id == telling.c.id,
        telling.c.channel == row.channel,
        _same_recipient(telling, row),
        telling.c.kind.in_(kinds),
        telling.c.state.in_(states),
        telling.c.frozen_at > since,
    )


def _members(connection: Connection, *conditions: ColumnElement[bool]) -> dict[int, Member]:
    """incident id -> member, the longest silent first."""
    rows = connection.execute(
        select(
            incident.c.id,
            incident.c.mac,
            sensor.c.name,
            sensor.c.site,
            incident.c.last_seen,
            incident.c.threshold,
            incident.c.proven,
            incident.c.opened_at,
            func.coalesce(incident.c.recovered_at, incident.c.closed_at).label("recovered_at"),
            sensor.c.labels,
            incident.c.usual_interval,
            incident.c.interruptions,
            incident.c.flapping_since,
        )
        .join(sensor, sensor.c.mac == incident.c.mac, isouter=True)
        .where(*conditions)
        .order_by(incident.c.last_seen, incident.c.mac)
    )
    return {
        row.id: Member(
            mac=row.mac,
            name=row.name,
            site=row.site,
            last_seen=row.last_seen,
            threshold=row.threshold,
            proven=row.proven,
            opened_at=row.opened_at,
            recovered_at=row.recovered_at,
            labels=row.labels or {},
            usual_interval=row.usual_interval,
            interruptions=row.interruptions,
            flapping_since=row.flapping_since,
        )
        for row in rows
    }


def _neighbours(connection: Connection, site: str | None) -> tuple[int, int]:
    """(sensors, those of them with an open incident) of a site; of the whole fleet for None."""
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
