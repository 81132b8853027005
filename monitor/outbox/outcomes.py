"""Records the outcome of each attempt to send a claimed message."""

from typing import Any

from sqlalchemy import Connection, Engine, and_, exists, insert, select, update

from monitor.outbox.claims import Claim
from monitor.outbox.notifications import UNFINISHED, add, close_group_if_done, finish, lock
from monitor.state import health, tally
from monitor.state.database import writing
from monitor.state.tables import (
    attempt,
    incident,
    notification,
    notification_incident,
    suppression,
)


def record_sent(engine: Engine, claim: Claim, now: int, remind_after: int | None = None) -> bool:
    """Records that the message was sent. `remind_after`: ms after which a reminder is due.

    Returns False if the claim expired and another process took over. Raises StateUnavailable.
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
    """Records that it is not tried again. Returns and raises as `record_sent`."""
    with writing(engine) as connection:
        health.record_failure(connection, claim.channel, reason, now, claim.recipient)
        recorded = _record(connection, claim, "failed", reason, now)
        close_group_if_done(connection, claim.group_id, now)
        return recorded


def record_retry(engine: Engine, claim: Claim, reason: str, next_attempt: int, now: int) -> bool:
    """Records that it is tried again at `next_attempt`. Returns and raises as `record_sent`."""
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
    claimed = and_(
        notification.c.id == claim.id,
        notification.c.state == "claimed",
        notification.c.claimed_by == claim.holder,
        notification.c.attempts == claim.attempt,
    )
    values |= {"outcome": reason, "claimed_by": None, "claimed_until": None}
    if result != "retry":
        return finish(connection, claimed, now, state=result, **values) == 1
    retried = update(notification).where(claimed).values(state="pending", **values)
    return connection.execute(retried).rowcount == 1


def _count_latencies(connection: Connection, claim: Claim, now: int) -> None:
    """Counts how long the first message about each incident took: from when the incident was
    opened, and from the end of its threshold.

    Leaves out incidents that were held, and messages that escalate.
    """
    held = exists().where(
        suppression.c.incident_id == incident.c.id,
        suppression.c.channel == claim.channel,
        suppression.c.kind == "down",
    )
    starts = connection.execute(
        select(incident.c.opened_at, incident.c.last_seen + incident.c.threshold)
        .join_from(notification, notification_incident)
        .join(incident)
        .where(notification.c.id == claim.id, notification.c.delay == 0, ~held)
    ).all()
    for name, column in (("delivered", 0), ("told", 1)):
        latencies = [now - row[column] for row in starts]
        tally.add_latencies(connection, name, (claim.channel,), latencies)


def _enqueue_reminder(connection: Connection, claim: Claim, now: int, due: int) -> None:
    """Enqueues a reminder, unless there is one already or all incidents are closed."""
    open_incident = select(incident.c.id).where(
        incident.c.group_id == claim.group_id, incident.c.closed_at.is_(None)
    )
    unfinished = select(notification.c.id).where(
        notification.c.group_id == claim.group_id,
        notification.c.channel == claim.channel,
        notification.c.recipient.is_not_distinct_from(claim.recipient),
        notification.c.kind == "reminder",
        notification.c.state.in_(UNFINISHED),
    )
    if connection.execute(open_incident.limit(1)).first() is None:
        return
    if connection.execute(unfinished.limit(1)).first() is not None:
        return
    add(
        connection,
        claim.group_id,
        "reminder",
        claim.channel,
        now,
        due,
        recipient=claim.recipient,
    )
