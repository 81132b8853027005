"""Taking messages out of the outbox: claiming what is due, freezing it, recording the outcome."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from monitor.model import DAY, MINUTE, SECOND, Held, Member, MessageContext
from monitor.outbox import candidates, fan_out, recipients
from monitor.outbox.candidates import RecipientConfig
from monitor.outbox.notifications import (
    UNFINISHED,
    Body,
    add,
    change,
    close_group_if_done,
    finish,
    lock,
)
from monitor.state import channels, health, suppressions, tally
from monitor.state.database import database_now, reading, writing
from monitor.state.tables import (
    alert_group,
    attempt,
    incident,
    notification,
    notification_incident,
    suppression,
)

Compose = Callable[[MessageContext], Body]

_LONGEST_CLAIM = 10 * MINUTE
_OUT_OF_BUDGET = "daily message limit reached"


class Claim(NamedTuple):
    """A message that this process alone may send, until the claim runs out."""

    id: int
    group_id: int
    channel: str
    key: str
    kind: str
    attempt: int
    """1 for the first; with `holder` it tells this claim from a later one."""
    holder: str
    body: Body
    recipient: str | None = None
    """Of a channel with several."""


def due_channels(engine: Engine, now: int) -> list[str]:
    """Names of the channels on which a message is due. Raises StateUnavailable."""
    with reading(engine) as connection:
        query = select(notification.c.channel).where(_due(connection, now)).distinct()
        return list(connection.scalars(query))


def oldest_due(connection: Connection, now: int) -> int | None:
    """Since when (ms) the message waits that has been due the longest; None: none is due."""
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
    """The next message due on this channel, held for `duration` ms by the database's clock.

    Claims of other holders that ran out are taken over. A message never claimed before is frozen
    with what `compose` makes of it, postponed while all its members are held, or cancelled when
    it has no members left. None: no message is due, or others are at
    work on those that are. Raises StateUnavailable.
    """
    while True:
        with reading(engine) as connection:
            if connection.execute(_next(connection, channel, now)).first() is None:
                return None
        with writing(engine) as connection:
            if config.budget is not None:
                # Two notifiers with a message each must not both take the last one of the budget.
                channels.lock(connection, channel)
            number = _lock_next(connection, channel, now)
            if number is None:
                return None
            row = _take(connection, number, holder, now, duration)
            if row is not None:
                row = fan_out.assign(connection, row, config.recipients, now)
            body = row and _body(connection, row, now, compose, config)
            if row is not None and body is not None:
                return Claim(
                    row.id,
                    row.group_id,
                    channel,
                    row.key,
                    row.kind,
                    row.attempts,
                    holder,
                    body,
                    row.recipient,
                )


def _lock_next(connection: Connection, channel: str, now: int) -> int | None:
    """The number of the next message due, its group locked; groups that others hold are left to
    them."""
    locking = _next(connection, channel, now).with_for_update(of=alert_group, skip_locked=True)
    number: int | None = connection.execute(locking).scalar()
    return number


def _take(connection: Connection, number: int, holder: str, now: int, duration: int) -> Any | None:
    """The claimed row; None: another process was quicker before we held the lock."""
    taken = (
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
    return connection.execute(taken.returning(notification)).first()


def _next(connection: Connection, channel: str, now: int) -> Any:
    return (
        select(notification.c.id)
        .join(alert_group, alert_group.c.id == notification.c.group_id)
        .where(notification.c.channel == channel, _due(connection, now))
        # News before repetitions, for the sake of channels with a budget.
        .order_by(
            notification.c.kind == "reminder", notification.c.next_attempt_at, notification.c.id
        )
        .limit(1)
    )


def _due(connection: Connection, now: int) -> ColumnElement[bool]:
    waiting = and_(notification.c.state == "pending", notification.c.next_attempt_at <= now)
    clock = database_now(connection)
    abandoned = and_(
        notification.c.state == "claimed",
        # One that lasts longer than any was made before the clock was set back.
        or_(
            notification.c.claimed_until <= clock,
            notification.c.claimed_until > clock + _LONGEST_CLAIM,
        ),
    )
    return or_(waiting, abandoned)


def _body(
    connection: Connection, row: Any, now: int, compose: Compose, config: RecipientConfig
) -> Body | None:
    """The message's final text; None when it was cancelled or put off instead."""
    if row.body is not None:
        return _frozen_body(connection, row, now, config)
    if config.budget is not None:
        free = _budget_free_at(connection, row, config.budget, now)
        if free > now:
            _put_off(connection, row, free, now, f"{_OUT_OF_BUDGET} ({config.budget})")
            return None
    try:
        decision = _decide(connection, row, now, config)
    except recipients.TooEarly as early:
        _put_off(connection, row, max(early.until + SECOND, now + 5 * SECOND), now, None)
        return None
    except recipients.Undeliverable as reason:
        _cancel(connection, row, str(reason), now)
        return None
    suppressions.record(connection, row.channel, row.kind, _reasons(decision), now)
    if not decision.members:
        later = decision.later or now
        _put_off(connection, row, max(later, now + SECOND), now, _why(decision.held))
        return None
    if decision.later is not None:
        _enqueue_rest(connection, row, decision, decision.later, now)
    return _freeze(connection, row, decision.members, now, compose)


def _decide(
    connection: Connection, row: Any, now: int, config: RecipientConfig
) -> recipients.Decision:
    """Raises TooEarly, Undeliverable."""
    due = recipients.Due(row.kind, row.created_at, row.delay, config.tracks)
    chosen, gone = recipients.choose(due, *candidates.load(connection, row, due))
    held = config.hold(connection, chosen, row.kind, now)
    return recipients.decide(due, chosen, gone, held, now)


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


def _cancel(connection: Connection, row: Any, reason: str, now: int) -> None:
    finish(connection, notification.c.id == row.id, now, state="cancelled", outcome=reason)
    close_group_if_done(connection, row.group_id, now)


def _frozen_body(
    connection: Connection, row: Any, now: int, config: RecipientConfig
) -> Body | None:
    """The frozen text. None if a new silence covers all members, or if it is a reminder and all
    members have recovered."""
    body: Body = row.body
    members = candidates.reported(connection, row.id)
    if row.kind == "reminder" and all(member.recovered_at for member in members.values()):
        _cancel(connection, row, "the incident was closed first", now)
        return None
    held = config.hold(connection, members, row.kind, now) if members else {}
    if not held or members.keys() - held.keys():
        return body
    _put_off(connection, row, min(each.until for each in held.values()), now, _why(held))
    return None


def _put_off(connection: Connection, row: Any, until: int, now: int, why: str | None) -> None:
    """Let it wait as if it had not been claimed; `why` if a user can end the wait sooner."""
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
    add(
        connection,
        row.group_id,
        row.kind,
        row.channel,
        # So that it leaves out the incidents of this one.
        row.created_at if row.kind == "reminder" else now,
        later,
        recipient=row.recipient,
        delay=row.delay,
        held_until=later if decision.held else None,
        outcome=_why(decision.held),
    )


def _reasons(decision: recipients.Decision) -> dict[int, tuple[str, int | None]]:
    held = {number: (each.reason, each.until) for number, each in decision.held.items()}
    gone: dict[int, tuple[str, int | None]] = {
        number: (reason, None) for number, reason in decision.gone.items()
    }
    return gone | held


def _why(held: Mapping[int, Held]) -> str | None:
    return ", ".join(sorted({each.reason for each in held.values()}))[:300] or None


def _budget_free_at(connection: Connection, row: Any, budget: int, now: int) -> int:
    """When one more message fits into the budget of 24 hours; at most `now` if it does already."""
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
    """Names of the channels whose messages wait for their budget."""
    query = select(notification.c.channel).where(
        notification.c.held_until.is_not(None),
        notification.c.state == "pending",
        notification.c.outcome.startswith(_OUT_OF_BUDGET),
    )
    return sorted(connection.scalars(query.distinct()))


# --- Recording what became of them -----------------------------------------------------------


def record_sent(engine: Engine, claim: Claim, now: int, remind_after: int | None = None) -> bool:
    """False when the claim ran out and another took over. Raises StateUnavailable.

    `remind_after`: ms after which a reminder reports those that are still silent.
    """
    with writing(engine) as connection:
        health.record_success(connection, claim.channel, now, claim.recipient)
        recorded = _record(connection, claim, "sent", None, now)
        if recorded and claim.kind == "down":
            _count_latencies(connection, claim, now)
        if recorded and remind_after is not None and claim.kind in ("down", "reminder"):
            _enqueue_reminder(connection, claim, now, now + remind_after)
        close_group_if_done(connection, claim.group_id, now)
        return recorded


def record_failed(engine: Engine, claim: Claim, reason: str, now: int) -> bool:
    """It won't be tried again. Returns and raises as `record_sent`."""
    with writing(engine) as connection:
        health.record_failure(connection, claim.channel, reason, now, claim.recipient)
        recorded = _record(connection, claim, "failed", reason, now)
        close_group_if_done(connection, claim.group_id, now)
        return recorded


def record_retry(engine: Engine, claim: Claim, reason: str, next_attempt: int, now: int) -> bool:
    """It is tried again at `next_attempt`. Returns and raises as `record_sent`."""
    with writing(engine) as connection:
        health.record_failure(connection, claim.channel, reason, now, claim.recipient)
        return _record(connection, claim, "retry", reason, now, next_attempt_at=next_attempt)


def _record(
    connection: Connection,
    claim: Claim,
    result: str,
    reason: str | None,
    now: int,
    **values: Any,
) -> bool:
    lock(connection, claim.group_id)
    connection.execute(
        insert(attempt).values(notification_id=claim.id, at=now, result=result, detail=reason)
    )
    tally.add(connection, "attempts", {(claim.channel, result): 1})
    mine = and_(
        notification.c.id == claim.id,
        notification.c.state == "claimed",
        notification.c.claimed_by == claim.holder,
        notification.c.attempts == claim.attempt,
    )
    values |= {"outcome": reason, "claimed_by": None, "claimed_until": None}
    if result != "retry":
        return finish(connection, mine, now, state=result, **values) == 1
    retried = update(notification).where(mine).values(state="pending", **values)
    return connection.execute(retried).rowcount == 1


def _count_latencies(connection: Connection, claim: Claim, now: int) -> None:
    """From each incident, and from the end of its threshold, to the acceptance of a first message;
    not where it was held back or meant to wait."""
    held = exists().where(
        suppression.c.incident_id == incident.c.id,
        suppression.c.channel == claim.channel,
        suppression.c.kind == "down",
    )
    told = connection.execute(
        select(incident.c.opened_at, incident.c.last_seen + incident.c.threshold)
        .join_from(notification, notification_incident)
        .join(incident)
        .where(notification.c.id == claim.id, notification.c.delay == 0, ~held)
    ).all()
    for name, since in (("delivered", 0), ("told", 1)):
        latencies = [now - row[since] for row in told]
        tally.add_latencies(connection, name, (claim.channel,), latencies)


def _enqueue_reminder(connection: Connection, claim: Claim, now: int, due: int) -> None:
    silent = select(incident.c.id).where(
        incident.c.group_id == claim.group_id, incident.c.closed_at.is_(None)
    )
    owed = select(func.count()).where(
        notification.c.group_id == claim.group_id,
        notification.c.channel == claim.channel,
        notification.c.recipient.is_not_distinct_from(claim.recipient),
        notification.c.kind == "reminder",
        notification.c.state.in_(UNFINISHED),
    )
    if (
        connection.execute(silent.limit(1)).first() is not None
        and connection.execute(owed).scalar_one() == 0
    ):
        add(
            connection,
            claim.group_id,
            "reminder",
            claim.channel,
            now,
            due,
            recipient=claim.recipient,
        )
