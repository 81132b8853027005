"""Sends messages again to receivers that would otherwise forget them.

Alertmanager resolves an alert that is not sent again. Prometheus sends its alerts again every
minute for the same reason.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from monitor.channels.interface import SendFailed
from monitor.model import format_time
from monitor.outbox import open_alerts
from monitor.outbox.channel_workers import ChannelWorker, message_of
from monitor.state import health
from monitor.state.database import writing


def resend(
    engine: Engine,
    worker: ChannelWorker,
    interval: int,
    clock: Callable[[], int],
    go_on: Callable[[], bool],
) -> None:
    """Sends all open alerts of the worker's channel again, if the last time is `interval` ms ago.

    The ledger does not record these sends. A failed one counts in the channel's health and ends
    this round. `go_on` is called after each message; if it returns False, the round ends.
    Raises StateUnavailable.
    """
    lasting = worker.active_channel.lasting
    if lasting is None or not open_alerts.start_round(engine, worker.name, interval, clock()):
        return
    numbers = open_alerts.list_numbers(engine, worker.name, lasting, clock())
    try:
        for number in numbers:
            _resend_one(engine, worker, number, clock)
            if not go_on():
                return
    except SendFailed as failure:
        with writing(engine) as connection:
            health.record_failure(connection, worker.name, failure.detail, clock())
        return
    if numbers:
        with writing(engine) as connection:
            health.record_success(connection, worker.name, clock())


def _resend_one(
    engine: Engine, worker: ChannelWorker, number: int, clock: Callable[[], int]
) -> None:
    found = open_alerts.find(engine, number)
    if found is None:
        return
    if found.body["kind"] != "down":
        worker.send(message_of(found.key, found.body))
        return
    body = _limited_to(found.body, found.down)
    if not body["members"]:
        return
    worker.send(message_of(found.key, body))
    after = open_alerts.find(engine, number)
    closed = found.down - (after.down if after else frozenset())
    if closed:
        # Another notifier may have sent the recovery before this send: it has to follow it.
        recovered = _limited_to(body, closed) | {"kind": "recovered", "time": format_time(clock())}
        worker.send(message_of(found.key, recovered))


def _limited_to(body: dict[str, Any], addresses: frozenset[str]) -> dict[str, Any]:
    """The body with only these sensors as members."""
    return body | {"members": [each for each in body["members"] if each["mac"] in addresses]}
