"""One recipient is one delivery: messages to a channel of several become one for each of them.

They are enqueued for the channel. The notifier that claims one knows the recipients of the moment;
from then on each is sent, retried, put off and recorded by itself.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, insert, literal, select, update

from monitor.outbox import notifications
from monitor.state.tables import notification, notification_incident


def assign(connection: Connection, row: Any, recipients: Sequence[str], now: int) -> Any | None:
    """The claimed row as it is for one of the recipients; the others get one each.

    None: there is nothing left to send. The caller holds the group's lock.
    """
    if not recipients or row.recipient in recipients:
        return row
    if row.recipient is not None:
        outcome = "the recipient was removed from the channel"
        this = notification.c.id == row.id
        notifications.finish(connection, this, now, state="cancelled", outcome=outcome)
        notifications.close_group_if_done(connection, row.group_id, now)
        return None
    if row.body is None:
        waiting = _waiting(connection, row, now)
        recipients = [each for each in recipients if each not in waiting]
        if not recipients:
            connection.execute(delete(notification).where(notification.c.id == row.id))
            return None
    first, *others = recipients
    for recipient in others:
        _copy(connection, row, recipient, now)
    changed = update(notification).where(notification.c.id == row.id).values(recipient=first)
    return connection.execute(changed.returning(notification)).one()


def _waiting(connection: Connection, row: Any, now: int) -> set[str]:
    """Recipients whose own such message still gathers members; it is due now."""
    theirs = (
        notification.c.group_id == row.group_id,
        notification.c.channel == row.channel,
        notification.c.kind == row.kind,
        notification.c.delay == row.delay,
        notification.c.recipient.is_not(None),
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
    )
    due = update(notification).where(*theirs, notification.c.next_attempt_at > now)
    connection.execute(due.values(next_attempt_at=now, held_until=None))
    return set(connection.scalars(select(notification.c.recipient).where(*theirs)))


def _copy(connection: Connection, row: Any, recipient: str, now: int) -> None:
    """A row of the same content; its key follows from the other's, so that it stays the same."""
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
