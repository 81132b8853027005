"""A sweep, notifiers and people at once on PostgreSQL: whatever they do, what holds must hold."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, select

from monitor.incidents.acknowledge import acknowledge
from monitor.incidents.planning import silence_sensors
from monitor.model import HOUR, MINUTE
from monitor.state import claims, incidents, sensors, silences, tokens
from monitor.state.database import StateUnavailable, reading, writing
from monitor.state.freezing import Terms
from monitor.state.tables import incident, notification, notification_incident
from monitor.state.tokens import NameTaken
from tests.concurrency.conftest import Sides
from tests.concurrency.test_held_commits import Night, misplaced
from tests.staleness.test_sweep import ALERTING

SENSORS = (1, 2, 3, 8, 9)
TERMS = Terms(lambda *_: {})


def send_what_is_due(engine: Engine, holder: str, now: int) -> int:
    sent = 0
    for channel in ALERTING.channels:
        while found := claims.claim(
            engine, channel, holder, now, MINUTE, lambda o: {"kind": o.kind}, TERMS
        ):
            claims.record_sent(engine, found, now, remind_after=HOUR)
            sent += 1
    return sent


def change_something(engine: Engine, chance: random.Random, now: int) -> None:
    with writing(engine) as connection:
        match chance.randrange(4):
            case 0:
                ids = [row.id for row in incidents.open_incidents(connection).values()]
                acknowledge(connection, chance.sample(ids, min(1, len(ids))), "someone", now)
            case 1:
                version = sensors.next_version(connection)
                paused = chance.random() < 0.3
                sensors.configure(connection, chance.choice(SENSORS), version, paused=paused)
            case 2:
                number = silence_sensors(connection, ["site=North"], now, now + HOUR, "x", "y", now)
                silences.end_silence(connection, number, now)
            case _:
                tokens.create(connection, f"token {chance.randrange(20)}", now)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_or_sent_twice_when_all_write_at_once(
    tmp_path: Path, sides: Sides, seed: int
) -> None:
    night, over = Night(tmp_path, sides), Event()

    def notify(holder: str) -> None:
        while not over.is_set():
            with suppress(StateUnavailable):
                send_what_is_due(sides.first, holder, night.now)

    def operate(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        while not over.wait(0.01):
            with suppress(StateUnavailable, NameTaken):
                change_something(sides.first, chance, night.now)

    chance = random.Random(seed)
    night.hear(*SENSORS)
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(notify, f"notifier {n}") for n in range(2)]
        others += [pool.submit(operate, n) for n in range(2)]
        try:
            for _ in range(40):
                beating = chance.sample(SENSORS, chance.randint(1, 5))
                night.pass_time(chance.randint(2, 12) * MINUTE, *beating)
                assert misplaced(night.engine) == []
        finally:
            over.set()
        for each in others:
            each.result()
    while send_what_is_due(sides.first, "last", night.now + 10 * MINUTE):
        pass
    with reading(night.engine) as connection:
        rows = connection.execute(select(notification)).all()
        sent = connection.execute(
            select(incident, notification.c.channel, notification.c.kind, notification.c.frozen_at)
            .join(notification_incident, notification_incident.c.incident_id == incident.c.id)
            .join(notification, notification.c.id == notification_incident.c.notification_id)
            .where(notification.c.state == "sent")
        ).all()
        macs = connection.scalars(select(incident.c.mac).where(incident.c.closed_at.is_(None)))
        assert max(Counter(macs).values(), default=1) == 1
    assert rows
    assert [row for row in rows if row.state == "claimed"] == []
    times = Counter((row.id, row.channel, row.kind) for row in sent if row.kind != "reminder")
    assert max(times.values()) == 1
    down = {(row.id, row.channel) for row in sent if row.kind == "down"}
    assert {(row.id, row.channel) for row in sent if row.kind == "recovered"} <= down
    unaware = [
        row
        for row in night.incidents()
        if row.closed_at is None and row.acknowledged_at is None
        if any((row.id, channel) not in down for channel in ALERTING.channels)
    ]
    assert unaware == []
    night.store.close()
