"""How sending goes on each channel: rows of `channel_health`, written by `outbox.served_channels`.

A result is kept only while there is such a row and the channel is not switched off: it may have
been removed or switched off during the send.
"""

from typing import NamedTuple

from sqlalchemy import Connection, exists, func, or_, select, update

from monitor.state.tables import channel, channel_health, notification


class RecipientHealth(NamedTuple):
    """What is known of one channel's recipient; moments in ms."""

    name: str
    recipient: str
    """Empty for a channel that has but one."""
    failing_since: int | None
    reported_at: int | None
    sent_at: int | None
    error: str | None
    error_at: int | None


_COLUMNS = tuple(channel_health.c[name] for name in RecipientHealth._fields)


def of_all(connection: Connection) -> dict[str, RecipientHealth]:
    """name -> health, of all channels that are or were served: of the recipient longest failing."""
    found = [RecipientHealth(*row) for row in connection.execute(select(*_COLUMNS))]
    found.sort(key=lambda row: (row.failing_since is not None, -(row.failing_since or 0)))
    return {row.name: row for row in found}


def record_success(
    connection: Connection, name: str, now: int, recipient: str | None = None
) -> None:
    """A message was accepted."""
    _update(connection, name, recipient, sent_at=now, failing_since=None, reported_at=None)


def record_failure(
    connection: Connection, name: str, error: str, now: int, recipient: str | None = None
) -> None:
    """A message was not accepted."""
    since = func.coalesce(channel_health.c.failing_since, now)
    _update(connection, name, recipient, error=error, error_at=now, failing_since=since)


def switched_off(connection: Connection, name: str) -> None:
    """It is not failing any more."""
    connection.execute(
        update(channel_health)
        .where(channel_health.c.name == name)
        .values(failing_since=None, reported_at=None)
    )


def unreported(
    connection: Connection, before: int, to_change: bool = False
) -> list[RecipientHealth]:
    """Channels not yet reported that failed a message for good, or have been failing since
    `before`; in order of their name. `to_change`: no other transaction changes them before this
    one ends."""
    lost = exists().where(
        notification.c.channel == channel_health.c.name,
        func.coalesce(notification.c.recipient, "") == channel_health.c.recipient,
        notification.c.state == "failed",
        notification.c.finished_at >= channel_health.c.failing_since,
    )
    query = select(*_COLUMNS).where(
        channel_health.c.reported_at.is_(None),
        or_(channel_health.c.failing_since <= before, lost),
    )
    query = query.order_by(channel_health.c.name, channel_health.c.recipient)
    rows = connection.execute(query.with_for_update() if to_change else query)
    return [RecipientHealth(*row) for row in rows]


def mark_reported(connection: Connection, name: str, recipient: str, now: int) -> None:
    """The others know."""
    of_it = (channel_health.c.name == name, channel_health.c.recipient == recipient)
    connection.execute(update(channel_health).where(*of_it).values(reported_at=now))


def _update(connection: Connection, name: str, recipient: str | None, **values: object) -> None:
    off = exists().where(channel.c.name == name, ~channel.c.enabled)
    connection.execute(
        update(channel_health)
        .where(channel_health.c.name == name, channel_health.c.recipient == (recipient or ""), ~off)
        .values(**values)
    )
