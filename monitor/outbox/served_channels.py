"""Which channels the notifiers serve, and what becomes of messages owed to the others."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, exists, select

from monitor.outbox import notifications
from monitor.state.database import insert_unless_there, reading, writing
from monitor.state.tables import channel, channel_health, notification

SWITCHED_OFF = "the channel is disabled"

_off = exists().where(channel.c.name == notification.c.channel, ~channel.c.enabled)
_owed = notification.c.state.in_(notifications.UNFINISHED)


def mark(engine: Engine, served: Mapping[str, Iterable[str]], now: int) -> None:
    """A notifier serves these channels: name -> recipients, none for a channel that has but one.

    Raises StateUnavailable.
    """
    rows = [
        {"name": name, "recipient": recipient, "served_at": now}
        for name, recipients in sorted(served.items())
        for recipient in sorted(recipients) or [""]
    ]
    if not rows:
        return
    with writing(engine) as connection:
        added = insert_unless_there(connection, channel_health)
        connection.execute(
            added.on_conflict_do_update(
                index_elements=[channel_health.c.name, channel_health.c.recipient],
                set_={"served_at": added.excluded.served_at},
            ),
            rows,
        )


def cancel_switched_off(engine: Engine, now: int) -> int:
    """Take back what is owed to channels that are switched off; how many messages.

    Switching off does so itself: this is for what was enqueued at that very moment, and for
    states of earlier versions. Raises StateUnavailable.
    """
    with reading(engine) as connection:
        if not _any(connection, select(notification.c.id).where(_owed, _off)):
            return 0
    with writing(engine) as connection:
        return notifications.end(
            connection, _owed & _off, now, state="cancelled", outcome=SWITCHED_OFF
        )


def give_up_unserved(engine: Engine, before: int, now: int) -> int:
    """Fail what is owed to channels that are gone, how many messages, and forget their health.

    Gone is a channel that is not kept in the state and that no notifier has served since `before`
    (the settings of each may name others, and they restart one after the other).
    Raises StateUnavailable.
    """
    kept = exists().where(channel.c.name == notification.c.channel)
    served = exists().where(
        channel_health.c.name == notification.c.channel, channel_health.c.served_at > before
    )
    unserved = _owed & ~kept & ~served & (notification.c.created_at < before)
    # Of one that is kept, recipients that were removed.
    stale = (channel_health.c.served_at <= before) & ~exists().where(
        channel.c.name == channel_health.c.name, ~channel.c.enabled
    )
    with reading(engine) as connection:
        if not (
            _any(connection, select(notification.c.id).where(unserved))
            or _any(connection, select(channel_health.c.name).where(stale))
        ):
            return 0
    with writing(engine) as connection:
        outcome = "no notifier serves this channel"
        # Health before groups, as where sending is recorded. Without a row, none is served either.
        connection.execute(delete(channel_health).where(stale))
        return notifications.end(connection, unserved, now, state="failed", outcome=outcome)


def _any(connection: Connection, query: Select[Any]) -> bool:
    return connection.execute(query.limit(1)).first() is not None
