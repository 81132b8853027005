"""Splits a message to a channel with several recipients into one message for each recipient.

Messages are enqueued without a recipient. At the first claim, the notifier knows the channel's
current recipients. From then on, each recipient's message is sent, retried, postponed and recorded
on its own.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, insert, literal, select, update

from monitor.outbox import notifications
from monitor.state.tables import notification, notification_incident


def assign(connection: Connection, row: Any, recipients: Sequence[str], now: int) -> Any | None:
    """Assigns the claimed row to the first recipient, and inserts a copy for each of the others.

    Returns the row as it is now. None: there is nothing to send, because the row's recipient was
    removed, or because all recipients have such a message already. `recipients` is empty unless the
    channel has several. The caller holds the group's lock.
    """
    if not recipients or row.recipient in recipients:
        return row
    if row.recipient is not None:
        reason = "the recipient was removed from the channel"
        notifications.cancel(connection, row, reason, now)
        return None
    if row.body is None:
        served = _with_pending_message(connection, row, now)
        recipients = [each for each in recipients if each not in served]
    if not recipients:
        connection.execute(delete(notification).where(notification.c.id == row.id))
        return None
    first, *others = recipients
    for recipient in others:
        _copy(connection, row, recipient, now)
    changed = update(notification).where(notification.c.id == row.id).values(recipient=first)
    return connection.execute(changed.returning(notification)).one()


def _with_pending_message(connection: Connection, row: Any, now: int) -> set[str]:
    """Recipients that already have such a message which is not frozen.

    Makes these messages due now: they report the row's incidents, too.
    """
    pending = (
        notification.c.group_id == row.group_id,
        notification.c.channel == row.channel,
        notification.c.kind == row.kind,
        notification.c.delay == row.delay,
        notification.c.recipient.is_not(None),
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
    )
    due = update(notification).where(*pending, notification.c.next_attempt_at > now)
    connection.execute(due.values(next_attempt_at=now, held_until=None))
    return set(connection.scalars(select(notification.c.recipient).where(*pending)))


def _copy(connection: Connection, row: Any, recipient: str, now: int) -> None:
    """Inserts a row with the same content. Its key is derived from the original's key."""
    added = (
        insert(notification)
        .values(
            key=sha256(f"{row.key} {recipient}".encode()).hexdigest()[:32],
            group_id=row.group_id,
            channel=row.channel,
            recipient=recipient,
            kind=row.kind,
            delay=row.delay,
            state="pending",
            created_at=row.created_at,
            attempts=0,
            next_attempt_at=now,
            body=row.body,
            frozen_at=row.frozen_at,
        )
        .returning(notification.c.id)
    )
    number = connection.execute(added).scalar_one()
    members = select(literal(number), notification_incident.c.incident_id).where(
        notification_incident.c.notification_id == row.id
    )
    columns = ["notification_id", "incident_id"]
    connection.execute(insert(notification_incident).from_select(columns, members))
