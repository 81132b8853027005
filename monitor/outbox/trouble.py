"""Notices about channels that fail, or that have reached their daily message limit."""

from collections.abc import Callable, Collection

from sqlalchemy import Connection, Engine

from monitor.model import DAY, MINUTE
from monitor.outbox import claims, notifications, wording
from monitor.outbox.message import Frame, compose_notice
from monitor.state import health, horizon
from monitor.state.database import reading, writing
from monitor.state.health import RecipientHealth

REPORT_AFTER = 5 * MINUTE
"""How long a channel may fail before it is reported. A message that is lost is reported at once."""


def report(
    engine: Engine,
    recipients: Callable[[Connection], Collection[str]],
    frame: Frame,
    now: int,
) -> None:
    """Enqueues a notice for each such channel, to the `recipients` (channels) other than itself.

    Each failure is reported once, and each limit once a day. Raises StateUnavailable.
    """
    with reading(engine) as connection:
        failing = health.unreported(connection, now - REPORT_AFTER)
        at_limit = claims.out_of_budget(connection)
    if not failing and not at_limit:
        return
    with writing(engine) as connection:
        horizon.lock(connection)  # before the channels, as in every transaction
        # Read again: a channel may have recovered since, or another notifier reported it.
        failing = health.unreported(connection, now - REPORT_AFTER, to_change=True)
        names = recipients(connection)
        for each in failing:
            _report_failing(connection, each, names, frame, now)
        for name in at_limit:
            _report_limit(connection, name, names, frame, now)


def _report_failing(
    connection: Connection, failing: RecipientHealth, names: Collection[str], frame: Frame, now: int
) -> None:
    since = wording.long(failing.failing_since or now, frame.zone)
    recipient = f" for {failing.recipient}" if failing.recipient else ""
    subject = f"The channel {failing.name} keeps failing{recipient}"
    sentence = f"It has delivered no message since {since}. Last error: {failing.error}."
    # If it fails for one recipient only, its other recipients can receive the notice.
    others = [name for name in names if name != failing.name or failing.recipient]
    key = f"failing:{failing.name}:{failing.recipient or ''}:{failing.failing_since}"
    body = compose_notice(subject, [sentence], now, key, frame)
    notifications.enqueue_notice(connection, key, others, body, now)
    health.mark_reported(connection, failing.name, failing.recipient, now)


def _report_limit(
    connection: Connection, channel: str, names: Collection[str], frame: Frame, now: int
) -> None:
    subject = f"The channel {channel} has reached its daily message limit"
    sentence = "Its messages wait until the limit allows more."
    others = [name for name in names if name != channel]
    key = f"budget:{channel}:{now // DAY}"
    body = compose_notice(subject, [sentence], now, key, frame)
    notifications.enqueue_notice(connection, key, others, body, now)
