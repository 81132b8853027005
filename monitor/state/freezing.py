"""Whom a message tells of, decided once, when its text is frozen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, exists, func, select

from monitor.model import Member
from monitor.state.tables import incident, notification, notification_incident, sensor


class Occasion(NamedTuple):
    """What a message is about when it is frozen."""

    kind: str
    """down | recovered"""
    time: int
    members: list[Member]
    """Those it tells of, the longest silent first; never empty."""
    silent: int
    """Incidents of the group open at this moment, told of earlier or not."""
    site: str | None
    """Where all members are, if they have a site in common."""
    site_sensors: int | None
    """How many sensors that site has."""


class Undeliverable(Exception):
    """There is nobody left to tell of; the text is the reason."""


class TooEarly(Exception):
    """The message it answers is still being tried, until about the time given (ms)."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


def decide(connection: Connection, row: Any, now: int) -> tuple[list[int], Occasion]:
    """The incidents that the `notification` row is to tell of, and what there is to say.

    Raises Undeliverable, TooEarly. The caller holds the group's lock.
    """
    members = _newly_silent(connection, row) if row.kind == "down" else _back(connection, row)
    return list(members), _occasion(connection, row, list(members.values()), now)


def _newly_silent(connection: Connection, row: Any) -> dict[int, Member]:
    """incident id -> member: open, not acknowledged, and this channel knows nothing of it yet."""
    untold = ~_told(row.channel, "down", ("pending", "claimed", "sent"))
    members = _members(
        connection,
        row.group_id,
        incident.c.closed_at.is_(None),
        incident.c.acknowledged_at.is_(None),
        untold,
    )
    if members:
        return members
    gone = connection.execute(
        select(incident.c.closed_reason).where(incident.c.group_id == row.group_id, untold)
    ).scalars()
    reasons = {reason or "acknowledged" for reason in gone}
    if not reasons:
        raise Undeliverable("an earlier message told of all")
    raise Undeliverable(f"{', '.join(sorted(reasons))} before it was sent")


def _back(connection: Connection, row: Any) -> dict[int, Member]:
    """incident id -> member: recovered, this channel told of the silence and not of its end."""
    recovered = incident.c.closed_reason == "recovered"
    untold = ~_told(row.channel, "recovered", ("pending", "claimed", "sent"))
    answered = connection.execute(
        select(func.max(notification.c.next_attempt_at))
        .select_from(notification.join(notification_incident).join(incident))
        .where(
            notification.c.group_id == row.group_id,
            notification.c.channel == row.channel,
            notification.c.kind == "down",
            notification.c.state.in_(("pending", "claimed")),
            recovered,
            untold,
        )
    ).scalar()
    if answered is not None:
        raise TooEarly(answered)
    told = _told(row.channel, "down", ("sent",))
    members = _members(connection, row.group_id, recovered, told, untold)
    if members:
        return members
    if _members(connection, row.group_id, recovered, told):
        raise Undeliverable("an earlier message told of all")
    if _members(connection, row.group_id, recovered, _told(row.channel, "down", ("failed",))):
        raise Undeliverable("the down message was never delivered")
    raise Undeliverable("nobody was told")


def _told(channel: str, kind: str, states: Sequence[str]) -> ColumnElement[bool]:
    """Whether an incident is in a frozen message of this kind, in one of these states."""
    # Under names of their own, so that a query over the same tables does not mix them up.
    telling, member = notification.alias("telling"), notification_incident.alias("member")
    return exists().where(
        member.c.incident_id == incident.c.id,
        member.c.notification_id == telling.c.id,
        telling.c.channel == channel,
        telling.c.kind == kind,
        telling.c.state.in_(states),
    )


def _members(
    connection: Connection, group_id: int, *conditions: ColumnElement[bool]
) -> dict[int, Member]:
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
            func.coalesce(incident.c.recovered_at, incident.c.closed_at),
        )
        .join(sensor, sensor.c.mac == incident.c.mac, isouter=True)
        .where(incident.c.group_id == group_id, *conditions)
        .order_by(incident.c.last_seen, incident.c.mac)
    )
    return {number: Member(*columns) for number, *columns in rows}


def _occasion(connection: Connection, row: Any, members: list[Member], now: int) -> Occasion:
    silent = connection.execute(
        select(func.count()).where(
            incident.c.group_id == row.group_id, incident.c.closed_at.is_(None)
        )
    ).scalar_one()
    sites = {member.site for member in members}
    site = sites.pop() if len(sites) == 1 else None
    site_sensors = None
    if site is not None:
        site_sensors = connection.execute(
            select(func.count()).where(sensor.c.site == site, sensor.c.forgotten_at.is_(None))
        ).scalar_one()
    return Occasion(row.kind, now, members, silent, site, site_sensors)
