"""Trouble with one channel is told on the others."""

from collections.abc import Callable, Collection

from sqlalchemy import Connection, Engine

from monitor.model import DAY, MINUTE
from monitor.outbox import claims, notifications, wording
from monitor.outbox.message import Frame, compose_notice
from monitor.state import health, horizon
from monitor.state.database import reading, writing

TOLERATED = 5 * MINUTE
"""How long a channel may fail before the others hear of it; what is lost is told at once."""


def report(
    engine: Engine,
    recipients: Callable[[Connection], Collection[str]],
    frame: Frame,
    now: int,
) -> None:
    """Owe notices of channels that fail or have used up their budget. Raises StateUnavailable."""
    with reading(engine) as connection:
        failing = health.unreported(connection, now - TOLERATED)
        spent = claims.out_of_budget(connection)
    if not failing and not spent:
        return
    with writing(engine) as connection:
        horizon.lock(connection)  # before the channels, as everywhere
        # Again: one may have recovered since, or another notifier may have reported it.
        failing = health.unreported(connection, now - TOLERATED, to_change=True)
        everybody = recipients(connection)
        for each in failing:
            since = wording.long(each.failing_since or now, frame.zone)
            whom = f" for {each.recipient}" if each.recipient else ""
            subject = f"The channel {each.name} keeps failing{whom}"
            sentence = f"It has delivered no message since {since}. Last error: {each.error}."
            # Other recipients of the same channel may be reached.
            others = [name for name in everybody if name != each.name or each.recipient]
            key = f"failing:{each.name}:{each.recipient or ''}:{each.failing_since}"
            body = compose_notice(subject, [sentence], now, key, frame)
            notifications.notify(connection, key, others, body, now)
            health.mark_reported(connection, each.name, each.recipient, now)
        for name in spent:
            subject = f"The channel {name} has reached its daily message limit"
            sentence = "Its messages wait until the limit allows more."
            others = [other for other in everybody if other != name]
            key = f"budget:{name}:{now // DAY}"
            body = compose_notice(subject, [sentence], now, key, frame)
            notifications.notify(connection, key, others, body, now)
