"""Which channels notifiers serve, and what happens to the messages of all other channels.

A notifier serves a channel if it can send on it: the channel is in its settings, or is enabled in
the state. Each notifier records the channels that it serves in `channel_health`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, exists, select

from monitor.outbox import notifications
from monitor.state.database import insert_unless_there, reading, writing
from monitor.state.tables import channel, channel_health, notification

DISABLED = "the channel is disabled"
"""Why a message was not sent, as the ledger shows it."""

_disabled = exists().where(channel.c.name == notification.c.channel, ~channel.c.enabled)
_unfinished = notification.c.state.in_(notifications.UNFINISHED)


def record(engine: Engine, served: Mapping[str, Iterable[str]], now: int) -> None:
    """Records that a notifier serves these channels: name -> recipients.

    A channel with only one recipient has no recipients here. Raises StateUnavailable.
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


def cancel_disabled(engine: Engine, now: int) -> int:
    """Cancels the unfinished messages of disabled channels. Returns how many.

    `catalogue.save` does the same when a channel is disabled. This function finds messages that
    were enqueued at that moment, or by earlier versions. Raises StateUnavailable.
    """
    with reading(engine) as connection:
        if not _any(connection, select(notification.c.id).where(_unfinished, _disabled)):
            return 0
    with writing(engine) as connection:
        return notifications.finish_all(
            connection, _unfinished & _disabled, now, state="cancelled", outcome=DISABLED
        )


def fail_unserved(engine: Engine, before: int, now: int) -> int:
    """Fails the unfinished messages of channels that no longer exist. Returns how many.

    Such a channel is not in the state, and no notifier has served it since `before`. Notifiers may
    have different settings and restart one after the other, so `before` must leave them time.
    Also deletes the health of channels and recipients that were not served since `before`.
    Raises StateUnavailable.
    """
    in_state = exists().where(channel.c.name == notification.c.channel)
    served = exists().where(
        channel_health.c.name == notification.c.channel, channel_health.c.served_at > before
    )
    unserved = _unfinished & ~in_state & ~served & (notification.c.created_at < before)
    # A disabled channel keeps its health: it may be enabled again.
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
        # Health before groups, the order in which `claims` locks them. `unserved` selects the same
        # messages after the deletion.
        connection.execute(delete(channel_health).where(stale))
        return notifications.finish_all(connection, unserved, now, state="failed", outcome=outcome)


def _any(connection: Connection, query: Select[Any]) -> bool:
    return connection.execute(query.limit(1)).first() is not None
