"""A sweep and a round of deliveries that include every kind of event."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path

from sqlalchemy import Engine, insert, select, update

from monitor.clock import Clock
from monitor.incidents.flapping import FlappingRule
from monitor.incidents.hold_policy import holding
from monitor.incidents.service import Alerting
from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat, Seen, format_mac
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery, DeliveryConfig
from monitor.outbox.message import Frame
from monitor.services.incidents import acknowledge
from monitor.staleness.sweep import Options, Sweep
from monitor.state import leases, sensors, silences
from monitor.state.database import writing
from monitor.state.tables import channel, incident, lease, notification, route
from monitor.store.interface import CoverageSpan
from monitor.store.sqlite import SqliteStore
from tests.delivering import watch
from tests.faults.step_counter import Recipient, StepCounter

START = 1_800_000_000_000
LAST = 60
SWEPT_AT = START + LAST * MINUTE + 30 * SECOND
"""The time of the tested sweep."""
DELIVERED_AT = START + 70 * MINUTE
"""The time of the tested deliveries."""

CHANNELS = ("email", "pager")
RETENTION = 30 * DAY
_RULE = FlappingRule(3, HOUR)
_OPTIONS = Options(threshold=2 * MINUTE, source_lost_after=40 * MINUTE, retention=RETENTION)
_ALERTING = Alerting(
    CHANNELS[:1], group_wait=30 * SECOND, group_interval=5 * MINUTE, flapping=_RULE
)
_CONFIG = DeliveryConfig(
    Frame("https://monitor.example.org", UTC),
    hold=holding(_RULE),
    remind_after=30 * MINUTE,
    recipients=lambda _connection: CHANNELS,
)

_SITES = {1: "Site X", 2: "Site X", 3: "Site X", 4: "Site X", 5: "Site Y", 6: "Site Y"}
_LIVING: Mapping[int, list[range]] = {
    1: [range(6)],
    2: [range(59)],  # goes down, in a group with earlier messages
    3: [range(6), range(LAST, LAST + 1)],  # recovers
    4: [range(6)],  # is paused
    5: [range(6)],  # gets a longer threshold
    6: [range(6)],  # has a heartbeat newer than last seen, and is silent again
    7: [range(LAST + 1)],
    11: [range(58)],  # went down alone a minute earlier
    12: [range(58)],
    13: [range(59)],  # goes down, together with the following ones
    14: [range(59)],
    15: [range(59)],
    20: [range(21), range(24, 41), range(44, 59)],  # goes down for the third time
    30: [range(LAST, LAST + 1)],  # is new
}
_FAREWELL, _BACK = 26, 54
"""Minutes between which another source has no coverage."""


def prepare(engine: Engine, store: SqliteStore) -> None:
    """Write everything that happened before the tested sweep."""
    store.append([Heartbeat(mac, START, START) for mac in _LIVING if mac != 30])
    _route(engine)
    for minute in range(LAST):
        now = START + minute * MINUTE
        _hear(store, *(Heartbeat(mac, now, now) for mac in _LIVING if _lives(mac, minute)))
        _report_coverage(store, minute)
        if minute == 1:
            _configure(engine)
        expire_lease_and_claims(engine)
        sweep(engine, store, now + 30 * SECOND)
        if minute < LAST - 1:
            deliver(
                engine, [Recipient(name, Path(os.devnull), StepCounter()) for name in CHANNELS], now
            )
    last = START + LAST * MINUTE
    _hear(
        store,
        *(Heartbeat(mac, last, last) for mac in _LIVING if _lives(mac, LAST)),
        Heartbeat(6, START + 10 * MINUTE, last, live=False),
        Heartbeat(31, last - MINUTE, last, live=False),
    )
    store.add_coverage(CoverageSpan("here", START, SWEPT_AT, False))
    store.add_coverage(CoverageSpan("there", START + _BACK * MINUTE, SWEPT_AT, False))
    with writing(engine) as connection:
        known = select(incident.c.id).where(incident.c.mac == 6)
        numbers = list(connection.scalars(known))
    acknowledge(engine, "anna", numbers, last)
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        sensors.configure(connection, 4, version, paused=True)
        sensors.configure(connection, 5, version, threshold=2 * HOUR)
        silences.add_silence(
            connection,
            [f"mac={format_mac(13)}"],
            DELIVERED_AT - HOUR,
            DELIVERED_AT + HOUR,
            "planned",
            "operator",
            START,
        )
    expire_lease_and_claims(engine)


def _route(engine: Engine) -> None:
    """Route one site to both channels, everything else to the first."""
    with writing(engine) as connection:
        connection.execute(
            insert(channel).values(
                name=CHANNELS[1],
                kind="webhook",
                settings={},
                enabled=True,
                is_default=False,
                created_at=START,
            )
        )
        connection.execute(
            insert(route).values(
                name="both",
                position=1,
                matchers=["site=Site X"],
                channels=list(CHANNELS),
                escalate_to=[],
            )
        )


def _lives(mac: int, minute: int) -> bool:
    return any(minute in spell for spell in _LIVING[mac])


def _hear(store: SqliteStore, *beats: Heartbeat) -> None:
    store.append(beats)
    store.announce("here", beats[0].received, [Seen(b.mac, b.seen, b.live) for b in beats])


def _report_coverage(store: SqliteStore, minute: int) -> None:
    now = START + minute * MINUTE + 30 * SECOND
    store.add_coverage(CoverageSpan("here", START, now, False))
    if minute <= _FAREWELL:
        store.add_coverage(CoverageSpan("there", START, now, minute == _FAREWELL))


def _configure(engine: Engine) -> None:
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        for mac, site in _SITES.items():
            sensors.configure(connection, mac, version, site=site)


def expire_lease_and_claims(engine: Engine) -> None:
    """Make the lease and all claims expire."""
    with writing(engine) as connection:
        connection.execute(update(lease).values(expires_at=0))
        claimed = update(notification).where(notification.c.state == "claimed")
        connection.execute(claimed.values(claimed_until=1))


def sweep(engine: Engine, store: SqliteStore, now: int = SWEPT_AT) -> None:
    """Acquire the lease and sweep."""
    held = leases.acquire(engine, "scheduler", "scheduler", DAY)
    assert held
    Sweep(store, engine, _OPTIONS, _ALERTING, watch(*_ALERTING.channels)).run(held, now)


def deliver(engine: Engine, recipients: Sequence[Recipient], now: int = DELIVERED_AT) -> int:
    """Deliver due messages."""
    served = [ActiveChannel(recipient) for recipient in recipients]
    return Delivery(engine, lambda: served, Clock(), _CONFIG).deliver_once(now)


def recipients(arrived: Path, counter: StepCounter | None = None) -> list[Recipient]:
    """The recipients of the tested deliveries; the second one refuses some messages."""
    counter = counter or StepCounter()
    return [
        Recipient("email", arrived, counter),
        Recipient("pager", arrived, counter, ["recovered", "permanent: reminder"]),
    ]
