"""The clock was an hour ahead for a while, and is put right."""

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
    world.hear(1, 2, 3)
    world.pass_time(20 * MINUTE, 1, 2)
    yield world
    world.store.close()


def set_back(world: World, by: int = HOUR) -> None:
    """The shipper begins a new pulse, as it does whenever the clock is stepped."""
    world.now -= by
    world.listening_since = world.now


def test_judging_goes_on_at_once(world: World) -> None:
    set_back(world)
    world.pass_time(2 * MINUTE, 1, 2)
    with reading(world.engine) as connection:
        progress = horizon.progress(connection)
        stops = list(connection.scalars(select(blind_window.c.stop)))
    assert progress.horizon == world.now
    assert progress.reset_at == START + 20 * MINUTE - HOUR + MINUTE
    assert max(stops, default=0) <= world.now


def test_who_dies_then_is_told_in_time_and_nobody_else(world: World) -> None:
    set_back(world)
    world.pass_time(MINUTE, 1, 2)
    reset_at = world.now
    world.pass_time(9 * MINUTE, 1)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {3}
    world.pass_time(3 * MINUTE, 1)
    opened = {row.mac: row.opened_at for row in world.incidents() if row.closed_at is None}
    assert opened.keys() == {2, 3}
    assert opened[2] <= reset_at + 12 * MINUTE


def test_who_was_heard_last_after_the_last_sweep_is_told_in_time_too(world: World) -> None:
    world.now += 4 * SECOND
    world.hear(2)
    set_back(world)
    world.pass_time(13 * MINUTE, 1)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {2, 3}


def test_who_was_silent_before_recovers_when_it_is_heard(world: World) -> None:
    assert [row.mac for row in world.incidents()] == [3]
    set_back(world)
    world.pass_time(3 * MINUTE, 1, 2, 3)
    (row,) = world.incidents()
    assert row.closed_reason == "recovered"
    assert row.closed_at is not None
    assert row.closed_at <= world.now


def test_what_was_owed_is_owed_no_later_than_before(world: World) -> None:
    with reading(world.engine) as connection:
        owed = select(notification).where(notification.c.kind == "down")
        before = connection.execute(owed).first()
    set_back(world)
    world.pass_time(MINUTE, 1, 2)
    with reading(world.engine) as connection:
        after = connection.execute(owed).first()
    assert before is not None
    assert after is not None
    wait = before.next_attempt_at - before.created_at
    assert after.next_attempt_at - after.created_at == wait
    assert after.created_at <= world.now


def test_a_host_that_died_with_the_wrong_clock_vouches_for_nothing_after(world: World) -> None:
    world.now -= HOUR
    for _ in range(25):  # nobody listens: no new pulse, while the old one ends in the future
        world.now += MINUTE
        world.sweep.run(world.lease, world.now)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {3}


def test_the_clock_ahead_and_right_again_raises_no_alarm(world: World) -> None:
    world.now += HOUR
    world.listening_since = world.now
    world.pass_time(3 * MINUTE, 1, 2)
    set_back(world)
    world.pass_time(30 * MINUTE, 1, 2)
    assert {row.mac for row in world.incidents()} == {3}


def test_a_restart_meanwhile_changes_nothing(world: World) -> None:
    set_back(world)
    world.pass_time(MINUTE, 1, 2)
    world.sweep = world.new_sweep()
    world.pass_time(12 * MINUTE, 1, every=10 * SECOND)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {2, 3}


def test_between_two_heartbeats_none_is_forgotten(world: World) -> None:
    world.now += HOUR
    world.listening_since = world.now
    world.pass_time(3 * MINUTE, 1, 2)
    set_back(world)
    for _ in range(5):
        world.pass_time(MINUTE, 1, 2)
        world.pass_time(8 * MINUTE)
    assert {row.mac for row in world.incidents()} == {3}


def test_a_restart_long_after_it_forgets_nobody(world: World) -> None:
    world.now += HOUR
    world.listening_since = world.now
    world.pass_time(3 * MINUTE, 1, 2)
    set_back(world)
    world.pass_time(20 * MINUTE, 1, 2)
    world.sweep = world.new_sweep()
    world.pass_time(MINUTE)
    assert {row.mac for row in world.incidents()} == {3}


def test_who_was_last_heard_while_the_clock_was_ahead_is_told_in_time(world: World) -> None:
    world.now += HOUR  # for so short a time that no sweep saw it
    world.hear(2)
    world.now -= HOUR
    world.pass_time(13 * MINUTE, 1)
    assert {row.mac for row in world.incidents() if row.closed_at is None} == {2, 3}
