"""An outage of thousands of sensors is written in several transactions and sent in one message."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from monitor.errors import StateUnavailable
from monitor.incidents import service
from monitor.model import MINUTE, MessageContext
from monitor.outbox import claims, outcomes
from monitor.outbox.candidates import RecipientConfig
from monitor.outbox.notifications import Body
from monitor.staleness import batches, beginnings
from monitor.state import horizon, sensors
from monitor.state.database import reading, writing
from monitor.state.tables import alert_group, notification
from tests.staleness.test_sweep import ALERTING, START, World

SENSORS = 6_000
MOST_ROWS = 5_000


@pytest.fixture
def world(tmp_path: Path, state: Engine) -> World:
    """Thousands of registered sensors at two sites, all with heartbeats."""
    made = World(tmp_path)
    made.engine = state
    made.lease = made.take_lease("leader")
    made.sweep = made.new_sweep()
    made.store_heartbeats(*range(SENSORS))
    made.pass_time(MINUTE)
    with writing(state) as connection:
        version = sensors.next_version(connection)
        places = {mac: {"site": ("North", "South")[mac % 2]} for mac in range(SENSORS)}
        sensors.configure_all(connection, places, version)
    return made


def together(world: World) -> list[int]:
    """The number of incidents that each transaction was the last to change."""
    return sorted(Counter(row.version for row in world.incidents()).values())


def test_large_outage_and_its_end_are_written_in_bounded_transactions(world: World) -> None:
    world.pass_time(10 * MINUTE)
    assert [len(outcome.opened) for outcome in world.pass_time(2 * MINUTE)] == [0, 0]
    assert len(world.incidents()) == SENSORS
    assert together(world) == [SENSORS - MOST_ROWS, MOST_ROWS]
    with reading(world.engine) as connection:
        assert list(connection.scalars(select(alert_group.c.cohort))) == ["fleet"]
        channels = connection.scalars(select(notification.c.channel)).all()
    assert sorted(channels) == sorted(ALERTING.channels)
    world.pass_time(MINUTE, *range(SENSORS))
    assert {row.closed_reason for row in world.incidents()} == {"recovered"}
    assert together(world) == [SENSORS - MOST_ROWS, MOST_ROWS]


def test_no_message_is_frozen_between_two_transactions_of_one_outage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []

    @contextmanager
    def writing_and_claiming(engine: Engine) -> Iterator[Connection]:
        with writing(engine) as connection:
            yield connection
        # A notifier that claims messages after the group's wait, while the sweep still writes.
        frozen.extend(members_of_the_next_message(world, world.now + ALERTING.group_wait))

    monkeypatch.setattr(batches, "writing", writing_and_claiming)
    world.pass_time(11 * MINUTE)
    assert frozen == [SENSORS]
    world.pass_time(MINUTE, *range(SENSORS))
    assert frozen == [SENSORS, SENSORS]


def members_of_the_next_message(world: World, now: int) -> list[int]:
    """Send the due email message, if any; the number of its sensors."""
    members: list[int] = []

    def compose(context: MessageContext) -> Body:
        members.append(len(context.members))
        return {"kind": context.kind}

    config = RecipientConfig(lambda *_: {})
    found = claims.claim(world.engine, "email", "n", now, MINUTE, compose, config)
    if found is not None:
        outcomes.record_sent(world.engine, found, now)
    return members


def test_sweep_that_fails_between_two_transactions_is_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    open_all = service.open_all

    def fails_once(*arguments: Any) -> None:
        calls.append(len(arguments[1]))
        if len(calls) == 2:
            raise StateUnavailable("simulated failure")
        open_all(*arguments)

    monkeypatch.setattr(service, "open_all", fails_once)
    world.pass_time(9 * MINUTE)
    with reading(world.engine) as connection:
        before = horizon.progress(connection)
    world.now += MINUTE + 1
    world.report_coverage()
    with pytest.raises(StateUnavailable):
        world.sweep.run(world.lease, world.now)
    assert len(world.incidents()) == MOST_ROWS
    with reading(world.engine) as connection:
        after = horizon.progress(connection)
    assert (after.horizon, after.swept_at) == (before.horizon, before.swept_at)
    successor = world.new_sweep()
    assert len(successor.run(world.lease, world.now).opened) == SENSORS - MOST_ROWS
    assert [row.mac for row in sorted(world.incidents(), key=lambda row: row.mac)] == [
        *range(SENSORS)
    ]
    assert {row.last_seen for row in world.incidents()} == {START}
    with reading(world.engine) as connection:
        assert len(connection.execute(select(alert_group)).all()) == 1


def test_more_outages_than_one_sweep_opens_are_opened_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginnings, "MOST", 2_500)
    outcomes = world.pass_time(13 * MINUTE)
    opened = [len(outcome.opened) for outcome in outcomes if outcome.opened]
    assert opened == [2_500, 2_500, SENSORS - 5_000]
    assert len({row.mac for row in world.incidents()}) == SENSORS
    with reading(world.engine) as connection:
        assert len(connection.execute(select(alert_group)).all()) == 1
