"""The outbox: messages owed to channels. One row of `notification` is one message to one channel.

A row is born `pending`, without a text. At its first claim it is frozen: who it tells of and what
it says are decided then and never change, so that every retry is identical. It ends as `sent`,
`failed` or `cancelled`. Whoever changes rows of a group first locks the group.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    exists,
    insert,
    or_,
    select,
    update,
)

from monitor.model import SECOND
from monitor.state import freezing
from monitor.state.database import database_now, reading, writing
from monitor.state.freezing import Occasion
from monitor.state.tables import alert_group, incident, notification, notification_incident

Body = dict[str, Any]
"""A frozen message as JSON; this room does not look into it."""


class Claim(NamedTuple):
    """A message that this process alone may send, until the claim runs out."""

    id: int
    group_id: int
    key: str
    kind: str
    attempt: int
    """1 for the first; with `holder` it tells this claim from a later one."""
    holder: str
    body: Body


# --- Owing messages --------------------------------------------------------------------------


def enqueue(
    connection: Connection,
    group_id: int,
    kind: str,
    channels: Iterable[str],
    now: int,
    group_wait: int,
    group_interval: int,
) -> None:
    """Owe each channel a message of this kind, unless one still gathers members.

    It waits `group_wait` for others to join, and keeps `group_interval` from the last one frozen.
    The caller holds the group's lock.
    """
    earlier = connection.execute(
        select(notification.c.channel, notification.c.state, notification.c.frozen_at)
        .where(notification.c.group_id == group_id, notification.c.kind == kind)
        .order_by(notification.c.id)
    ).all()
    gathering = {row.channel for row in earlier if row.frozen_at is None and row.state == "pending"}
    frozen_at = {row.channel: row.frozen_at for row in earlier if row.frozen_at is not None}
    for channel in channels:
        if channel in gathering:
            continue
        due = now + group_wait
        if channel in frozen_at:
            due = max(due, frozen_at[channel] + group_interval)
        connection.execute(
            insert(notification).values(
                key=uuid4().hex,
                group_id=group_id,
                channel=channel,
                kind=kind,
                state="pending",
                created_at=now,
                next_attempt_at=due,
            )
        )


def frozen(connection: Connection, group_id: int) -> bool:
    """Whether any message of this group has its final text. The caller holds the group's lock."""
    query = select(notification.c.id).where(
        notification.c.group_id == group_id, notification.c.frozen_at.is_not(None)
    )
    return connection.execute(query.limit(1)).first() is not None


def cancel_unfrozen(connection: Connection, group_id: int, reason: str, now: int) -> int:
    """Take back what was owed and not frozen; how many. The caller holds the group's lock."""
    cancelled = connection.execute(
        update(notification)
        .where(
            notification.c.group_id == group_id,
            notification.c.state == "pending",
            notification.c.frozen_at.is_(None),
        )
        .values(state="cancelled", outcome=reason, finished_at=now)
    )
    return cancelled.rowcount


def settle(connection: Connection, group_id: int, now: int) -> None:
    """Close the group once all its incidents are closed and nothing is owed for it.

    The caller holds the group's lock.
    """
    silent = exists().where(incident.c.group_id == group_id, incident.c.closed_at.is_(None))
    owed = exists().where(
        notification.c.group_id == group_id, notification.c.state.in_(("pending", "claimed"))
    )
    connection.execute(
        update(alert_group)
        .where(alert_group.c.id == group_id, alert_group.c.closed_at.is_(None), ~silent, ~owed)
        .values(closed_at=now)
    )


# --- Claiming and freezing -------------------------------------------------------------------


def claim(
    engine: Engine,
    channel: str,
    holder: str,
    now: int,
    duration: int,
    compose: Callable[[Occasion], Body],
) -> Claim | None:
    """The next message due on this channel, held for `duration` ms by the database's clock.

    Claims of other holders that ran out are taken over. A message never claimed before is frozen
    with what `compose` makes of it, or cancelled when there is nobody left to tell of. None: no
    message is due. Raises StateUnavailable.
    """
    while True:
        with reading(engine) as connection:
            candidate = connection.execute(
                select(notification.c.id, notification.c.group_id)
                .where(notification.c.channel == channel, _due(connection, now))
                .order_by(notification.c.next_attempt_at, notification.c.id)
                .limit(1)
            ).first()
        if candidate is None:
            return None
        with writing(engine) as connection:
            _lock(connection, candidate.group_id)
            claimed = connection.execute(
                update(notification)
                .where(notification.c.id == candidate.id, _due(connection, now))
                .values(
                    state="claimed",
                    attempts=notification.c.attempts + 1,
                    claimed_by=holder,
                    claimed_until=database_now(connection) + duration,
                )
                .returning(notification)
            ).first()
            if claimed is None:  # another notifier was quicker
                continue
            body = claimed.body
            if body is None:
                body = _freeze(connection, claimed, now, compose)
            if body is not None:
                return Claim(
                    id=claimed.id,
                    group_id=claimed.group_id,
                    key=claimed.key,
                    kind=claimed.kind,
                    attempt=claimed.attempts,
                    holder=holder,
                    body=body,
                )


def _lock(connection: Connection, group_id: int) -> None:
    query = select(alert_group.c.id).where(alert_group.c.id == group_id)
    connection.execute(query.with_for_update())


def _due(connection: Connection, now: int) -> ColumnElement[bool]:
    waiting = and_(notification.c.state == "pending", notification.c.next_attempt_at <= now)
    abandoned = and_(
        notification.c.state == "claimed",
        notification.c.claimed_until <= database_now(connection),
    )
    return or_(waiting, abandoned)


def _freeze(
    connection: Connection, row: Any, now: int, compose: Callable[[Occasion], Body]
) -> Body | None:
    """The message's final text; None when it was cancelled or must wait instead."""
    try:
        incidents, occasion = freezing.decide(connection, row, now)
    except freezing.TooEarly as early:
        values = {"state": "pending", "attempts": 0, "next_attempt_at": _later(early.until, now)}
        _change(connection, row.id, claimed_by=None, claimed_until=None, **values)
        return None
    except freezing.Undeliverable as reason:
        _change(connection, row.id, state="cancelled", outcome=str(reason), finished_at=now)
        settle(connection, row.group_id, now)
        return None
    connection.execute(
        insert(notification_incident),
        [{"notification_id": row.id, "incident_id": number} for number in incidents],
    )
    body = compose(occasion)
    _change(connection, row.id, body=body, frozen_at=now)
    return body


def _later(until: int, now: int) -> int:
    return max(until + SECOND, now + 5 * SECOND)


def _change(connection: Connection, number: int, **values: object) -> None:
    connection.execute(update(notification).where(notification.c.id == number).values(**values))


# --- Recording what became of them -----------------------------------------------------------


def record_sent(engine: Engine, claim: Claim, now: int) -> bool:
    """False when the claim ran out and another took over. Raises StateUnavailable."""
    return _record(engine, claim, now, state="sent", finished_at=now, outcome=None)


def record_failed(engine: Engine, claim: Claim, reason: str, now: int) -> bool:
    """It won't be tried again. Returns and raises as `record_sent`."""
    return _record(engine, claim, now, state="failed", finished_at=now, outcome=reason)


def record_retry(engine: Engine, claim: Claim, reason: str, next_attempt: int, now: int) -> bool:
    """It is tried again at `next_attempt`. Returns and raises as `record_sent`."""
    return _record(
        engine, claim, now, state="pending", next_attempt_at=next_attempt, outcome=reason
    )


def _record(engine: Engine, claim: Claim, now: int, **values: object) -> bool:
    with writing(engine) as connection:
        _lock(connection, claim.group_id)
        recorded = connection.execute(
            update(notification)
            .where(
                notification.c.id == claim.id,
                notification.c.state == "claimed",
                notification.c.claimed_by == claim.holder,
                notification.c.attempts == claim.attempt,
            )
            .values(claimed_by=None, claimed_until=None, **values)
        )
        settle(connection, claim.group_id, now)
        return recorded.rowcount == 1


def fail_unserved(engine: Engine, channels: Iterable[str], before: int, now: int) -> int:
    """Give up what has been due since `before` on channels other than these; how many.

    Raises StateUnavailable.
    """
    unserved = and_(
        notification.c.state.in_(("pending", "claimed")),
        notification.c.channel.not_in(list(channels)),
        notification.c.next_attempt_at < before,
    )
    with writing(engine) as connection:
        groups = connection.execute(
            select(notification.c.group_id).where(unserved).distinct()
        ).scalars()
        count = 0
        for group_id in sorted(groups):
            _lock(connection, group_id)
            count += connection.execute(
                update(notification)
                .where(unserved, notification.c.group_id == group_id)
                .values(state="failed", finished_at=now, outcome="no notifier serves this channel")
            ).rowcount
            settle(connection, group_id, now)
    return count
