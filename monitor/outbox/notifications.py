"""The outbox: one row of `notification` is one message to one channel.

A row is inserted as `pending`, without a text. Its first claim (see `claims`) freezes it: its
members and its text never change after that, so that every retry is identical. It ends as `sent`,
`failed` or `cancelled`. A transaction locks the group before it changes rows of the group.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, select, update

from monitor.state import horizon, tally
from monitor.state.tables import alert_group, incident, notification

Body = dict[str, Any]
"""The content of a frozen message, as JSON: see `message.compose`."""

UNFINISHED = ("pending", "claimed")
"""States of messages that are still to be sent."""


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
    """Enqueues a message of this kind to a channel, unless one still gathers members.

    It waits `wait` ms for more incidents, and at least `interval` ms after the last one was frozen.
    It reports only incidents that have been open for `delay` ms. The caller holds the group's lock.
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
        # A message to one recipient gathers members for that recipient only.
        if row.frozen_at is None and row.state == "pending" and row.recipient is None:
            if row.held_until is not None and row.next_attempt_at > due:
                # It waits for a hold that need not apply to the new incidents.
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
    """Inserts a row that is due at `due` (ms)."""
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
    """Makes messages due `by` ms earlier: those created at `created_at` that still gather members
    and are due by `due_until`."""
    gathering = and_(
        notification.c.created_at == created_at,
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
        notification.c.next_attempt_at <= due_until,
    )
    due = notification.c.next_attempt_at - by
    connection.execute(update(notification).where(gathering).values(next_attempt_at=due))


def change(connection: Connection, number: int, **values: object) -> None:
    """Updates columns of one row."""
    connection.execute(update(notification).where(notification.c.id == number).values(**values))


def enqueue_notice(
    connection: Connection, key: str, channels: Iterable[str], body: Body, now: int
) -> None:
    """Enqueues a notice to these channels, at most once for each `key`."""
    names = list(channels)
    if not names:
        return
    horizon.lock(connection)  # two processes may enqueue the same notice at the same moment
    cohort = f"notice:{key}"
    earlier = select(alert_group.c.id).where(alert_group.c.cohort == cohort)
    if connection.execute(earlier.limit(1)).first() is not None:
        return
    added = insert(alert_group).values(cohort=cohort, opened_at=now).returning(alert_group.c.id)
    group_id = connection.execute(added).scalar_one()
    for name in names:
        add(connection, group_id, "notice", name, now, now, body=body, frozen_at=now)


def cancel_unfrozen(connection: Connection, group_id: int, reason: str, now: int) -> int:
    """Cancels the pending messages of a group that are not frozen. Returns how many.

    It leaves flapping messages: their incidents may be closed, and no other message reports them.
    The caller holds the group's lock.
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
    """Ends these messages as `sent`, `failed` or `cancelled`, and counts them. Returns how many.

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


def cancel(connection: Connection, row: Any, reason: str, now: int) -> None:
    """Cancels one message, and closes its group if it was the last. The caller holds the group's
    lock."""
    finish(connection, notification.c.id == row.id, now, state="cancelled", outcome=reason)
    close_group_if_done(connection, row.group_id, now)


def close_group_if_done(connection: Connection, group_id: int, now: int) -> None:
    """Closes the group if all its incidents are closed and no message is unfinished.

    Cancels reminders that have no open incident any more. The caller holds the group's lock.
    """
    has_open = exists().where(incident.c.group_id == group_id, incident.c.closed_at.is_(None))
    of_group = notification.c.group_id == group_id
    obsolete = and_(
        of_group,
        notification.c.kind == "reminder",
        notification.c.state == "pending",
        notification.c.frozen_at.is_(None),
        ~has_open,
    )
    finish(
        connection,
        obsolete,
        now,
        state="cancelled",
        outcome="the incident was closed first",
    )
    has_unfinished = exists().where(of_group, notification.c.state.in_(UNFINISHED))
    connection.execute(
        update(alert_group)
        .where(
            alert_group.c.id == group_id,
            alert_group.c.closed_at.is_(None),
            ~has_open,
            ~has_unfinished,
        )
        .values(closed_at=now)
    )


def cancel_for_channel(connection: Connection, channel: str, reason: str, now: int) -> int:
    """Cancels all unfinished messages to a channel. Returns how many."""
    unfinished = and_(notification.c.channel == channel, notification.c.state.in_(UNFINISHED))
    return finish_all(connection, unfinished, now, state="cancelled", outcome=reason)


def lock(connection: Connection, group_id: int) -> None:
    """Locks the group and its messages until the transaction ends."""
    query = select(alert_group.c.id).where(alert_group.c.id == group_id)
    connection.execute(query.with_for_update())


def finish_all(
    connection: Connection, which: ColumnElement[bool], now: int, *, state: str, outcome: str
) -> int:
    """Locks the groups of these messages one by one, and ends the messages. Returns how many."""
    groups = connection.execute(select(notification.c.group_id).where(which).distinct())
    count = 0
    for group_id in sorted(groups.scalars()):
        lock(connection, group_id)
        of_group = which & (notification.c.group_id == group_id)
        count += finish(connection, of_group, now, state=state, outcome=outcome)
        close_group_if_done(connection, group_id, now)
    return count
