"""Claims messages that are due, and freezes them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from monitor.model import DAY, MINUTE, SECOND, Held, Member, MessageContext
from monitor.outbox import candidates, fan_out, recipients
from monitor.outbox.candidates import RecipientConfig
from monitor.outbox.notifications import UNFINISHED, Body, add, cancel, change
from monitor.state import channels, suppressions
from monitor.state.database import database_now, reading, writing
from monitor.state.tables import alert_group, notification, notification_incident

Compose = Callable[[MessageContext], Body]
"""Writes the text of a message."""

_LONGEST_CLAIM = 10 * MINUTE
_OUT_OF_BUDGET = "daily message limit reached"


class Claim(NamedTuple):
    """A message that only this process may send, until the claim expires."""

    id: int
    group_id: int
    channel: str
    key: str
    kind: str
    attempt: int
    """1 for the first. Together with `holder` it identifies the claim."""
    holder: str
    body: Body
    recipient: str | None = None
    """None unless the channel has several recipients."""


def due_channels(engine: Engine, now: int) -> list[str]:
    """Names of the channels that have a message due. Raises StateUnavailable."""
    with reading(engine) as connection:
        query = select(notification.c.channel).where(_due(connection, now)).distinct()
        return list(connection.scalars(query))


def oldest_due(connection: Connection, now: int) -> int | None:
    """When the first of the messages that are due became due (ms). None: no message is due."""
    query = select(func.min(notification.c.next_attempt_at)).where(
        notification.c.state.in_(UNFINISHED), notification.c.next_attempt_at <= now
    )
    oldest: int | None = connection.execute(query).scalar()
    return oldest


def claim(
    engine: Engine,
    channel: str,
    holder: str,
    now: int,
    duration: int,
    compose: Compose,
    config: RecipientConfig,
) -> Claim | None:
    """Claims the channel's next message that is due, for `duration` ms of the database's clock.

    Takes over claims of other holders that have expired. At its first claim, a message is frozen
    with the text from `compose`, or postponed if all its members are held, or cancelled if it has
    no members; in the last two cases the next message is claimed instead. None: no message is due,
    or other processes work on those that are. Raises StateUnavailable.
    """
    while True:
        with reading(engine) as connection:
            if connection.execute(_next(connection, channel, now)).first() is None:
                return None
        with writing(engine) as connection:
            if config.budget is not None:
                # Two notifiers must not both use the last message of the budget.
                channels.lock(connection, channel)
            number = _lock_next(connection, channel, now)
            if number is None:
                return None
            found = _claim_one(connection, number, holder, now, duration, compose, config)
            if found is not None:
                return found


def _claim_one(
    connection: Connection,
    number: int,
    holder: str,
    now: int,
    duration: int,
    compose: Compose,
    config: RecipientConfig,
) -> Claim | None:
    """Claims this message, whose group is locked. None: it is not to be sent now."""
    row = _mark_claimed(connection, number, holder, now, duration)
    if row is None:
        return None
    row = fan_out.assign(connection, row, config.recipients, now)
    if row is None:
        return None
    body = _body(connection, row, now, compose, config)
    if body is None:
        return None
    return Claim(
        row.id,
        row.group_id,
        row.channel,
        row.key,
        row.kind,
        row.attempts,
        holder,
        body,
        row.recipient,
    )


def _lock_next(connection: Connection, channel: str, now: int) -> int | None:
    """Locks the group of the next message that is due, and returns the message's number. Skips
    groups that other transactions have locked."""
    locking = _next(connection, channel, now).with_for_update(of=alert_group, skip_locked=True)
    number: int | None = connection.execute(locking).scalar()
    return number


def _mark_claimed(
    connection: Connection, number: int, holder: str, now: int, duration: int
) -> Any | None:
    """Returns the row. None: another process claimed it before the group was locked."""
    claimed = (
        update(notification)
        .where(notification.c.id == number, _due(connection, now))
        .values(
            state="claimed",
            attempts=notification.c.attempts + 1,
            claimed_by=holder,
            claimed_until=database_now(connection) + duration,
            held_until=None,
        )
    )
    return connection.execute(claimed.returning(notification)).first()


def _next(connection: Connection, channel: str, now: int) -> Any:
    return (
        select(notification.c.id)
        .join(alert_group, alert_group.c.id == notification.c.group_id)
        .where(notification.c.channel == channel, _due(connection, now))
        # Reminders last: they must not use up the budget of other messages.
        .order_by(
            notification.c.kind == "reminder", notification.c.next_attempt_at, notification.c.id
        )
        .limit(1)
    )


def _due(connection: Connection, now: int) -> ColumnElement[bool]:
    waiting = and_(notification.c.state == "pending", notification.c.next_attempt_at <= now)
    clock = database_now(connection)
    expired = and_(
        notification.c.state == "claimed",
        # A claim that ends later than possible was made before the clock was set back.
        or_(
            notification.c.claimed_until <= clock,
            notification.c.claimed_until > clock + _LONGEST_CLAIM,
        ),
    )
    return or_(waiting, expired)


def _body(
    connection: Connection, row: Any, now: int, compose: Compose, config: RecipientConfig
) -> Body | None:
    """The frozen content of a message. None: it was cancelled or postponed instead."""
    if row.body is not None:
        return _frozen_body(connection, row, now, config)
    if config.budget is not None:
        free = _budget_free_at(connection, row, config.budget, now)
        if free > now:
            _postpone(connection, row, free, now, f"{_OUT_OF_BUDGET} ({config.budget})")
            return None
    try:
        decision = _decide(connection, row, now, config)
    except recipients.TooEarly as early:
        _postpone(connection, row, max(early.until + SECOND, now + 5 * SECOND), now, None)
        return None
    except recipients.Undeliverable as reason:
        cancel(connection, row, str(reason), now)
        return None
    suppressions.record(connection, row.channel, row.kind, _suppressed(decision), now)
    if not decision.members:
        later = max(decision.later or now, now + SECOND)
        _postpone(connection, row, later, now, _hold_reasons(decision.held))
        return None
    if decision.later is not None:
        _enqueue_rest(connection, row, decision, decision.later, now)
    return _freeze(connection, row, decision.members, now, compose)


def _decide(
    connection: Connection, row: Any, now: int, config: RecipientConfig
) -> recipients.Decision:
    """Raises TooEarly, Undeliverable."""
    due = recipients.Due(row.kind, row.created_at, row.delay, config.tracks)
    chosen, dropped = recipients.choose(due, *candidates.load(connection, row, due))
    held = config.hold(connection, chosen, row.kind, now)
    return recipients.decide(due, chosen, dropped, held, now)


def _freeze(
    connection: Connection, row: Any, members: Mapping[int, Member], now: int, compose: Compose
) -> Body:
    connection.execute(
        insert(notification_incident),
        [{"notification_id": row.id, "incident_id": number} for number in members],
    )
    body = compose(candidates.context(connection, row, list(members.values()), now))
    change(connection, row.id, body=body, frozen_at=now, outcome=None)
    return body


def _frozen_body(
    connection: Connection, row: Any, now: int, config: RecipientConfig
) -> Body | None:
    """The content of a message frozen before. None: all members are held, or it is a reminder and
    all members have recovered."""
    body: Body = row.body
    members = candidates.reported(connection, row.id)
    if row.kind == "reminder" and all(member.recovered_at for member in members.values()):
        cancel(connection, row, "the incident was closed first", now)
        return None
    held = config.hold(connection, members, row.kind, now) if members else {}
    if not held or members.keys() - held.keys():
        return body
    _postpone(connection, row, min(each.until for each in held.values()), now, _hold_reasons(held))
    return None


def _postpone(connection: Connection, row: Any, until: int, now: int, why: str | None) -> None:
    """Makes it pending again, due at `until`, as if it had not been claimed.

    `why`: what it waits for, if that may end earlier; else None.
    """
    change(
        connection,
        row.id,
        state="pending",
        attempts=row.attempts - 1,
        next_attempt_at=max(until, now + SECOND),
        held_until=None if why is None else until,
        outcome=why,
        claimed_by=None,
        claimed_until=None,
    )


def _enqueue_rest(
    connection: Connection, row: Any, decision: recipients.Decision, later: int, now: int
) -> None:
    """Enqueues a message for the incidents that this one leaves out."""
    add(
        connection,
        row.group_id,
        row.kind,
        row.channel,
        # A reminder leaves out incidents of other reminders that were frozen after this time.
        row.created_at if row.kind == "reminder" else now,
        later,
        recipient=row.recipient,
        delay=row.delay,
        held_until=later if decision.held else None,
        outcome=_hold_reasons(decision.held),
    )


def _suppressed(decision: recipients.Decision) -> dict[int, tuple[str, int | None]]:
    """incident id -> (why this message does not report it, until when in ms)."""
    held = {number: (each.reason, each.until) for number, each in decision.held.items()}
    dropped: dict[int, tuple[str, int | None]] = {
        number: (reason, None) for number, reason in decision.dropped.items()
    }
    return dropped | held


def _hold_reasons(held: Mapping[int, Held]) -> str | None:
    return ", ".join(sorted({each.reason for each in held.values()}))[:300] or None


def _budget_free_at(connection: Connection, row: Any, budget: int, now: int) -> int:
    """When the budget of 24 hours allows one more message (ms); `now` or earlier: it does now."""
    frozen_at = connection.execute(
        select(notification.c.frozen_at)
        .where(
            notification.c.channel == row.channel,
            notification.c.recipient.is_not_distinct_from(row.recipient),
            notification.c.kind != "notice",
            notification.c.frozen_at > now - DAY,
        )
        .order_by(notification.c.frozen_at.desc())
        .limit(budget)
    ).all()
    return now if len(frozen_at) < budget else int(frozen_at[-1].frozen_at) + DAY


def out_of_budget(connection: Connection) -> list[str]:
    """Names of the channels whose messages wait because of the daily message limit."""
    query = select(notification.c.channel).where(
        notification.c.held_until.is_not(None),
        notification.c.state == "pending",
        notification.c.outcome.startswith(_OUT_OF_BUDGET),
    )
    return sorted(connection.scalars(query.distinct()))
