"""The health of channels: rows of `channel_health`, created by `outbox.served_channels`.

A result is recorded only if the row exists and the channel is enabled: the channel may have been
deleted or disabled during the send.
"""

from typing import NamedTuple

from sqlalchemy import Connection, exists, func, or_, select, update

from monitor.state.tables import channel, channel_health, notification


class RecipientHealth(NamedTuple):
    """The health of one recipient of a channel; times in ms."""

    name: str
    recipient: str
    """Empty for a channel with only one."""
    failing_since: int | None
    reported_at: int | None
    sent_at: int | None
    error: str | None
    error_at: int | None


_COLUMNS = tuple(channel_health.c[name] for name in RecipientHealth._fields)


def of_all(connection: Connection) -> dict[str, RecipientHealth]:
    """Channel -> health of the recipient that has been failing for longest."""
    found = [RecipientHealth(*row) for row in connection.execute(select(*_COLUMNS))]
    found.sort(key=lambda row: (row.failing_since is not None, -(row.failing_since or 0)))
    return {row.name: row for row in found}


def record_success(
    connection: Connection, name: str, now: int, recipient: str | None = None
) -> None:
    """Records that a message was accepted."""
    _update(connection, name, recipient, sent_at=now, failing_since=None, reported_at=None)


def record_failure(
    connection: Connection, name: str, error: str, now: int, recipient: str | None = None
) -> None:
    """Records that a message was not accepted."""
    since = func.coalesce(channel_health.c.failing_since, now)
    _update(connection, name, recipient, error=error, error_at=now, failing_since=since)


def clear_failure(connection: Connection, name: str) -> None:
    """Records that the channel is not failing, because it is disabled."""
    connection.execute(
        update(channel_health)
        .where(channel_health.c.name == name)
        .values(failing_since=None, reported_at=None)
    )


def unreported(
    connection: Connection, before: int, to_change: bool = False
) -> list[RecipientHealth]:
    """Unreported channels for which a message has failed finally, or that have been failing since
    `before`; by name. `to_change`: locks them until the transaction ends."""
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
    """Records that a notice about the failure was enqueued."""
    of_it = (channel_health.c.name == name, channel_health.c.recipient == recipient)
    connection.execute(update(channel_health).where(*of_it).values(reported_at=now))


def _update(connection: Connection, name: str, recipient: str | None, **values: object) -> None:
    off = exists().where(channel.c.name == name, ~channel.c.enabled)
    connection.execute(
        update(channel_health)
        .where(channel_health.c.name == name, channel_health.c.recipient == (recipient or ""), ~off)
        .values(**values)
    )
