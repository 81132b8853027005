"""The clock was an hour ahead and is corrected."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from monitor.model import HOUR, MINUTE, SECOND
from monitor.state import horizon
from monitor.state.database import reading
from monitor.state.tables import blind_window, notification
from tests.staleness.test_sweep import START, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.store_heartbeats(1, 2, 3)
    world.pass_time(20 * MINUTE, 1, 2)
    yield world
    world.store.close()


def set_back(world: World, by: int = HOUR) -> None:
    """Step the clock back; the shipper starts a new coverage span, as after every step."""
    world.now -= by
    world.listening_since = world.now


def test_judging_continues_at_once(world: World) -> None:
    set_back(world)
    world.pass_time(2 * MINUTE, 1, 2)
    with reading(world.engine) as connection:
        progress = horizon.progress(connection)
        stops = list(connection.scalars(select(blind_window.c.stop)))
    assert progress.horizon == world.now
    assert progress.reset_at == START + 20 * MINUTE - HOUR + MINUTE
    assert max(stops, default=0) <= world.now


def test_sensor_that_dies_after_the_step_is_reported_in_time(world: World) -> None:
    set_back(world)
    world.pass_time(MINUTE, 1, 2)
    reset_at = world.now
    world.pass_time(9 * MINUTE, 1)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {3}
    world.pass_time(3 * MINUTE, 1)
    opened = {row.mac: row.opened_at for row in world.incidents() if row.closed_at is None}
    assert opened.keys() == {2, 3}
    assert opened[2] <= reset_at + 12 * MINUTE


def test_sensor_last_seen_after_the_last_sweep_is_reported_in_time(world: World) -> None:
    world.now += 4 * SECOND
    world.store_heartbeats(2)
    set_back(world)
    world.pass_time(13 * MINUTE, 1)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {2, 3}


def test_sensor_that_was_down_recovers_with_its_next_heartbeat(world: World) -> None:
    assert [row.mac for row in world.incidents()] == [3]
    set_back(world)
    world.pass_time(3 * MINUTE, 1, 2, 3)
    (row,) = world.incidents()
    assert row.closed_reason == "recovered"
    assert row.closed_at is not None
    assert row.closed_at <= world.now


def test_pending_messages_are_not_delayed(world: World) -> None:
    with reading(world.engine) as connection:
        down_messages = select(notification).where(notification.c.kind == "down")
        before = connection.execute(down_messages).first()
    set_back(world)
    world.pass_time(MINUTE, 1, 2)
    with reading(world.engine) as connection:
        after = connection.execute(down_messages).first()
    assert before is not None
    assert after is not None
    wait = before.next_attempt_at - before.created_at
    assert after.next_attempt_at - after.created_at == wait
    assert after.created_at <= world.now


def test_coverage_in_the_future_from_a_dead_host_does_not_count(world: World) -> None:
    world.now -= HOUR
    for _ in range(25):  # no new coverage, and the old span ends in the future
        world.now += MINUTE
        world.sweep.run(world.lease, world.now)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {3}


def test_clock_ahead_and_corrected_causes_no_false_alert(world: World) -> None:
    world.now += HOUR
    world.listening_since = world.now
    world.pass_time(3 * MINUTE, 1, 2)
    set_back(world)
    world.pass_time(30 * MINUTE, 1, 2)
    assert {row.mac for row in world.incidents()} == {3}


def test_scheduler_restart_changes_nothing(world: World) -> None:
    set_back(world)
    world.pass_time(MINUTE, 1, 2)
    world.sweep = world.new_sweep()
    world.pass_time(12 * MINUTE, 1, every=10 * SECOND)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {2, 3}


def test_sensors_between_two_heartbeats_are_not_reported(world: World) -> None:
    world.now += HOUR
    world.listening_since = world.now
    world.pass_time(3 * MINUTE, 1, 2)
    set_back(world)
    for _ in range(5):
        world.pass_time(MINUTE, 1, 2)
        world.pass_time(8 * MINUTE)
    assert {row.mac for row in world.incidents()} == {3}


def test_scheduler_restart_long_after_the_step_reports_no_live_sensor(world: World) -> None:
    world.now += HOUR
    world.listening_since = world.now
    world.pass_time(3 * MINUTE, 1, 2)
    set_back(world)
    world.pass_time(20 * MINUTE, 1, 2)
    world.sweep = world.new_sweep()
    world.pass_time(MINUTE)
    assert {row.mac for row in world.incidents()} == {3}


def test_sensor_last_seen_while_the_clock_was_ahead_is_reported_in_time(world: World) -> None:
    world.now += HOUR  # too short for a sweep to notice
    world.store_heartbeats(2)
    world.now -= HOUR
    world.pass_time(13 * MINUTE, 1)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {2, 3}
