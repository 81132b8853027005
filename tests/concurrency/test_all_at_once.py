"""A sweep, notifiers, pages and commands run concurrently on PostgreSQL, and invariants hold."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, select

from monitor.errors import StateUnavailable
from monitor.model import HOUR, MINUTE
from monitor.outbox import claims, outcomes
from monitor.outbox.candidates import RecipientConfig
from monitor.state.database import reading
from monitor.state.tables import incident, notification, notification_incident
from tests.concurrency.conftest import Sides
from tests.concurrency.test_held_commits import MonitoredFleet, misplaced
from tests.concurrency.users import Operator, command, settings_of
from tests.staleness.test_sweep import ALERTING

SENSORS = (1, 2, 3, 8, 9)
CONFIG = RecipientConfig(lambda *_: {})


def send_what_is_due(engine: Engine, holder: str, now: int, failing: random.Random | None) -> int:
    """Deliver due messages; the number attempted. With `failing` one in five fails temporarily."""
    tried = 0
    for channel in ALERTING.channels:
        while found := claims.claim(
            engine, channel, holder, now, MINUTE, lambda o: {"kind": o.kind}, CONFIG
        ):
            if failing is not None and failing.random() < 0.2:
                outcomes.record_retry(engine, found, "not now", now + MINUTE, now)
            else:
                outcomes.record_sent(engine, found, now, remind_after=HOUR)
            tried += 1
    return tried


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_concurrent_writers_lose_nothing_and_send_nothing_twice(
    tmp_path: Path, sides: Sides, seed: int
) -> None:
    night, over = MonitoredFleet(tmp_path, sides), Event()
    operators = [Operator(f"operator {n}", tmp_path, sides.first) for n in range(2)]

    def notify(holder: str) -> None:
        failing = random.Random(f"{seed} {holder}")
        while not over.is_set():
            with suppress(StateUnavailable):
                send_what_is_due(sides.first, holder, night.now, failing)

    def operate(number: int) -> Counter[int]:
        chance, answers = random.Random(f"{seed} {number}"), Counter[int]()
        while not over.wait(0.01):
            answers[operators[number].act(chance, SENSORS).status_code] += 1
        return answers

    def command_line() -> list[str]:
        chance, variables, wrote = random.Random(seed), settings_of(tmp_path, sides.first), []
        while not over.is_set():
            wrote.append(command(variables, chance, SENSORS))
        return wrote

    chance = random.Random(seed)
    night.store_heartbeats(*SENSORS)
    with ThreadPoolExecutor(5) as pool:
        notifiers = [pool.submit(notify, f"notifier {n}") for n in range(2)]
        people = [pool.submit(operate, n) for n in range(2)]
        commands = pool.submit(command_line)
        try:
            for _ in range(40):
                beating = chance.sample(SENSORS, chance.randint(1, 5))
                night.pass_time(chance.randint(2, 12) * MINUTE, *beating)
                assert misplaced(night.engine) == []
        finally:
            over.set()
        for each in notifiers:
            each.result()
        answers = sum((each.result() for each in people), Counter[int]())
    assert answers.keys() & {200, 201, 204, 303}
    assert not [status for status in answers if status >= 500 and status != 503]
    assert not [text for text in commands.result() if "Traceback" in text]
    while send_what_is_due(sides.first, "last", night.now + 10 * MINUTE, None):
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
