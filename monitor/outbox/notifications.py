"""The outbox: messages owed to channels. One row of `notification` is one message to one channel.

A row is born `pending`, without a text. At its first claim (see `claims`) it is frozen: who it
tells of and what it says are decided then and never change, so that every retry is identical. It
ends as `sent`, `failed` or `cancelled`. Whoever changes rows of a group first locks the group.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, select, update

from monitor.state import horizon, tally
from monitor.state.tables import alert_group, incident, notification

Body = dict[str, Any]
"""A frozen message as JSON; this room does not look into it."""

UNFINISHED = ("pending", "claimed")


def enqueue(
    connection: Connection,
    group_id: int,
    kind: str,
    channel: str,
    now: int,
    *,
    wait: int,
    interval: int = 0,
    delay: int = 0,
) -> None:
    """Owe a channel a message of this kind, unless one still gathers members.

    It waits `wait` for others to join, and keeps `interval` from the last one frozen; it tells
    only of incidents that have been open for `delay`. The caller holds the group's lock.
    """
    earlier = connection.execute(
        select(
            notification.c.id,
            notification.c.state,
            notification.c.frozen_at,
            notification.c.next_attempt_at,
            notification.c.held_until,
            notification.c.recipient,
        )
        .where(
            notification.c.group_id == group_id,
            notification.c.kind == kind,
            notification.c.channel == channel,
        )
        .order_by(notification.c.id)
    ).all()
    frozen_at = [row.frozen_at for row in earlier if row.frozen_at is not None]
    due = max([now + wait, *(moment + interval for moment in frozen_at)])
    for row in earlier:
        # Those of one recipient gather for that one alone.
        if row.frozen_at is None and row.state == "pending" and row.recipient is None:
            if row.held_until is not None and row.next_attempt_at > due:
                # What it waits for need not hold the new ones back.
                change(connection, row.id, next_attempt_at=due, held_until=None)
            return
    add(connection, group_id, kind, channel, now, due, delay=delay)


def add(
    connection: Connection,
    group_id: int,
    kind: str,
    channel: str,
    now: int,
    due: int,
    **values: object,
) -> None:
    """One more row, due at `due`."""
    connection.execute(
        insert(notification).values(
            group_id=group_id,
            kind=kind,
            channel=channel,
            created_at=now,
            next_attempt_at=due,
            **{"key": uuid4().hex, "state": "pending", **values},
        )
    )


def bring_forward(connection: Connection, created_at: int, due_until: int, by: int) -> None:
    """Let messages that gather members since `created_at` be due `by` ms earlier, unless they are
    due after `due_until`."""
    gathering = and_(
        notification.c.created_at == created_at,
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
        notification.c.next_attempt_at <= due_until,
    )
    due = notification.c.next_attempt_at - by
    connection.execute(update(notification).where(gathering).values(next_attempt_at=due))


def change(connection: Connection, number: int, **values: object) -> None:
    """Set columns of one row."""
    connection.execute(update(notification).where(notification.c.id == number).values(**values))


def notify(connection: Connection, key: str, channels: Iterable[str], body: Body, now: int) -> None:
    """Owe these channels a notice of the service about itself; at most once for each `key`."""
    matter = f"notice:{key}"
    told = select(alert_group.c.id).where(alert_group.c.cohort == matter)
    names = list(channels)
    if not names:
        return
    horizon.lock(connection)  # two processes may notice the same at the same moment
    if connection.execute(told.limit(1)).first() is not None:
        return
    added = insert(alert_group).values(cohort=matter, opened_at=now).returning(alert_group.c.id)
    group_id = connection.execute(added).scalar_one()
    for name in names:
        add(connection, group_id, "notice", name, now, now, body=body, frozen_at=now)


def cancel_unfrozen(connection: Connection, group_id: int, reason: str, now: int) -> int:
    """Take back what was owed and not frozen; how many. The caller holds the group's lock.

    Not news of flapping: it may be of incidents that are over, and told nowhere else.
    """
    unfrozen = and_(
        notification.c.group_id == group_id,
        notification.c.kind != "flapping",
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
    )
    return finish(connection, unfrozen, now, state="cancelled", outcome=reason)


def finish(
    connection: Connection,
    which: ColumnElement[bool],
    now: int,
    *,
    state: str,
    outcome: str | None,
    **values: object,
) -> int:
    """End these messages as `sent`, `failed` or `cancelled`, and count them; how many.

    The caller holds the locks of their groups.
    """
    ended = connection.execute(
        update(notification)
        .where(which)
        .values(state=state, outcome=outcome, finished_at=now, **values)
        .returning(notification.c.channel, notification.c.kind)
    )
    count: Counter[tally.Labels] = Counter((row.channel, row.kind, state) for row in ended)
    tally.add(connection, "finished", count)
    return count.total()


def settle(connection: Connection, group_id: int, now: int) -> None:
    """Close the group once all its incidents are closed and nothing is owed for it.

    The caller holds the group's lock.
    """
    silent = exists().where(incident.c.group_id == group_id, incident.c.closed_at.is_(None))
    of_group = notification.c.group_id == group_id
    unneeded = and_(
        of_group,
        notification.c.kind == "reminder",
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
        ~silent,
    )
    finish(
        connection,
        unneeded,
        now,
        state="cancelled",
        outcome="the incident ended before it was sent",
    )
    owed = exists().where(of_group, notification.c.state.in_(UNFINISHED))
    connection.execute(
        update(alert_group)
        .where(alert_group.c.id == group_id, alert_group.c.closed_at.is_(None), ~silent, ~owed)
        .values(closed_at=now)
    )


def drop_channel(connection: Connection, channel: str, reason: str, now: int) -> int:
    """Take back all that is owed to a channel that is no more; how many messages."""
    owed = and_(notification.c.channel == channel, notification.c.state.in_(UNFINISHED))
    return end(connection, owed, now, state="cancelled", outcome=reason)


def lock(connection: Connection, group_id: int) -> None:
    """Keep others from changing rows of this group until the transaction ends."""
    query = select(alert_group.c.id).where(alert_group.c.id == group_id)
    connection.execute(query.with_for_update())


def end(
    connection: Connection, which: ColumnElement[bool], now: int, *, state: str, outcome: str
) -> int:
    """`finish` these messages, group by group, locking each; how many."""
    groups = connection.execute(select(notification.c.group_id).where(which).distinct())
    count = 0
    for group_id in sorted(groups.scalars()):
        lock(connection, group_id)
        of_group = which & (notification.c.group_id == group_id)
        count += finish(connection, of_group, now, state=state, outcome=outcome)
        settle(connection, group_id, now)
    return count
