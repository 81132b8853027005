"""Sending again what stands, to a receiver that would forget it: as Prometheus does."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from monitor.channels.interface import SendFailed
from monitor.model import format_time
from monitor.outbox import open_alerts
from monitor.outbox.channel_workers import Outlet, message_of
from monitor.state import health
from monitor.state.database import writing


def renew(
    engine: Engine, outlet: Outlet, every: int, clock: Callable[[], int], go_on: Callable[[], bool]
) -> None:
    """Send all that stands on the outlet's channel again, if `every` ms have passed.

    Nothing of it is in the ledger; a failure counts in the channel's health, and the rest waits
    for the next time. `go_on` is asked after each message. Raises StateUnavailable.
    """
    lasting = outlet.served.lasting
    if lasting is None or not open_alerts.take(engine, outlet.name, every, clock()):
        return
    numbers = open_alerts.standing(engine, outlet.name, lasting, clock())
    try:
        for number in numbers:
            _renew(engine, outlet, number, clock)
            if not go_on():
                return
    except SendFailed as failure:
        with writing(engine) as connection:
            health.record_failure(connection, outlet.name, failure.detail, clock())
        return
    if numbers:
        with writing(engine) as connection:
            health.record_success(connection, outlet.name, clock())


def _renew(engine: Engine, outlet: Outlet, number: int, clock: Callable[[], int]) -> None:
    found = open_alerts.find(engine, number)
    if found is None:
        return
    body = found.body
    if body["kind"] == "down":
        body = _of(body, found.open)
        if not body["members"]:
            return
    outlet.send(message_of(found.key, body))
    if body["kind"] != "down":
        return
    after = open_alerts.find(engine, number)
    closed = found.open - (after.open if after else frozenset())
    if closed:
        # Another notifier may have sent their end before we sent them again.
        ended = _of(body, closed) | {"kind": "recovered", "time": format_time(clock())}
        outlet.send(message_of(found.key, ended))


def _of(body: dict[str, Any], addresses: frozenset[str]) -> dict[str, Any]:
    """The same of these sensors alone."""
    return body | {"members": [each for each in body["members"] if each["mac"] in addresses]}
