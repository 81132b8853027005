"""What stands on a channel whose receiver forgets it unless it is sent again."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Engine, and_, or_, select, update

from monitor.model import format_mac
from monitor.outbox.notifications import Body
from monitor.state.database import reading, writing
from monitor.state.tables import channel_health, incident, notification, notification_incident


class OpenAlerts(NamedTuple):
    """A message that was sent, and what still stands of it."""

    key: str
    body: Body
    open: frozenset[str]
    """Addresses of its sensors whose incidents are open, as the body has them."""


def take(engine: Engine, channel: str, every: int, now: int) -> bool:
    """Whether it is time to renew, and for the caller to do so: once in `every` ms.

    Raises StateUnavailable.
    """
    renewed_at = channel_health.c.renewed_at
    due = and_(channel_health.c.name == channel, or_(renewed_at <= now - every, renewed_at > now))
    with reading(engine) as connection:
        if connection.execute(select(channel_health.c.name).where(due)).first() is None:
            return False
    with writing(engine) as connection:
        taken = update(channel_health).where(due).values(renewed_at=now)
        return connection.execute(taken).rowcount == 1


def standing(engine: Engine, channel: str, lasting: Mapping[str, int], now: int) -> list[int]:
    """Numbers of the messages of which something stands, in the order they were enqueued.

    Of `down` incidents that are open, acknowledged or not; other kinds for as long (ms) as
    `lasting` has it. Raises StateUnavailable.
    """
    sent = (notification.c.channel == channel, notification.c.state == "sent")
    silent = (
        select(notification.c.id)
        .join(notification_incident, notification_incident.c.notification_id == notification.c.id)
        .join(incident, incident.c.id == notification_incident.c.incident_id)
        .where(*sent, notification.c.kind == "down", incident.c.closed_at.is_(None))
    )
    # What was due before was, as a rule, frozen before: the index finds it.
    recent = [
        and_(notification.c.kind == kind, notification.c.next_attempt_at > now - lasts)
        for kind, lasts in lasting.items()
    ]
    with reading(engine) as connection:
        found = set(connection.scalars(silent))
        if recent:
            found |= set(connection.scalars(select(notification.c.id).where(*sent, or_(*recent))))
    return sorted(found)


def find(engine: Engine, number: int) -> OpenAlerts | None:
    """The message of this number. Raises StateUnavailable."""
    members = (
        select(incident.c.mac)
        .join(notification_incident, notification_incident.c.incident_id == incident.c.id)
        .where(notification_incident.c.notification_id == number, incident.c.closed_at.is_(None))
    )
    with reading(engine) as connection:
        row = connection.execute(
            select(notification.c.key, notification.c.body).where(notification.c.id == number)
        ).first()
        if row is None:
            return None
        open_ones = frozenset(format_mac(mac) for mac in connection.scalars(members))
    return OpenAlerts(row.key, row.body, open_ones)
