"""The messages that a receiver has to be sent again, because it would otherwise forget them."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Engine, and_, or_, select, update

from monitor.model import format_mac
from monitor.outbox.notifications import Body
from monitor.state.database import reading, writing
from monitor.state.tables import channel_health, incident, notification, notification_incident


class OpenAlert(NamedTuple):
    """A message that was sent, and which of its sensors are still down."""

    key: str
    body: Body
    down: frozenset[str]
    """Addresses of its sensors with an open incident, in the format of the body."""


def start_round(engine: Engine, channel: str, interval: int, now: int) -> bool:
    """Records that all messages of the channel are sent again now.

    False: the last time was less than `interval` ms ago, or another notifier does it.
    Raises StateUnavailable.
    """
    resent_at = channel_health.c.renewed_at
    # A time in the future was written before the clock was set back.
    due = and_(channel_health.c.name == channel, or_(resent_at <= now - interval, resent_at > now))
    with reading(engine) as connection:
        if connection.execute(select(channel_health.c.name).where(due)).first() is None:
            return False
    with writing(engine) as connection:
        started = update(channel_health).where(due).values(renewed_at=now)
        return connection.execute(started).rowcount == 1


def list_numbers(engine: Engine, channel: str, lasting: Mapping[str, int], now: int) -> list[int]:
    """Numbers of the messages to send again, in the order in which they were enqueued.

    These are `down` messages with an open incident, acknowledged or not, and messages of the kinds
    in `lasting` (kind -> ms) that are not older than given there. Raises StateUnavailable.
    """
    sent = (notification.c.channel == channel, notification.c.state == "sent")
    down = (
        select(notification.c.id)
        .join(notification_incident, notification_incident.c.notification_id == notification.c.id)
        .join(incident, incident.c.id == notification_incident.c.incident_id)
        .where(*sent, notification.c.kind == "down", incident.c.closed_at.is_(None))
    )
    # By the time of the next attempt, because it has an index; it is close to the time of sending.
    recent = [
        and_(notification.c.kind == kind, notification.c.next_attempt_at > now - lasts)
        for kind, lasts in lasting.items()
    ]
    with reading(engine) as connection:
        found = set(connection.scalars(down))
        if recent:
            found |= set(connection.scalars(select(notification.c.id).where(*sent, or_(*recent))))
    return sorted(found)


def find(engine: Engine, number: int) -> OpenAlert | None:
    """The message with this number, or None. Raises StateUnavailable."""
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
        down = frozenset(format_mac(mac) for mac in connection.scalars(members))
    return OpenAlert(row.key, row.body, down)
