"""Sensors that are paused and resumed, or removed and added again."""

import pytest
from sqlalchemy import literal

from monitor.model import DAY, MINUTE, SECOND
from monitor.state import pauses, sensors
from monitor.state.database import writing
from tests.staleness.test_sweep import START, THRESHOLD, World, world

__all__ = ["world"]


@pytest.fixture
def database_clock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's clock shows the time of the world."""
    for module in (sensors, pauses):
        monkeypatch.setattr(module, "database_now", lambda _connection: literal(world.now))


def configure(world: World, mac: int, **values: object) -> None:
    with writing(world.engine) as connection:
        sensors.configure(connection, mac, sensors.next_version(connection), **values)


def remove(world: World, mac: int) -> None:
    with writing(world.engine) as connection:
        sensors.forget(connection, mac, sensors.next_version(connection))


@pytest.mark.usefixtures("database_clock")
@pytest.mark.parametrize("restarts", [False, True])
def test_resumed_sensor_has_its_whole_threshold(world: World, restarts: bool) -> None:
    world.store_heartbeats(1)
    world.pass_time(MINUTE)
    configure(world, 1, paused=True)
    world.pass_time(2 * THRESHOLD)
    configure(world, 1, paused=False)
    resumed = world.now
    world.pass_time(MINUTE)
    if restarts:
        world.sweep = world.new_sweep()
    world.pass_time(THRESHOLD - MINUTE)
    assert world.incidents() == []
    world.pass_time(MINUTE)
    (row,) = world.incidents()
    assert (row.opened_at, row.last_seen) == (resumed + THRESHOLD + MINUTE, START)


@pytest.mark.usefixtures("database_clock")
def test_sensor_removed_and_added_again_has_its_whole_threshold(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(MINUTE)
    remove(world, 1)
    world.pass_time(2 * THRESHOLD)
    configure(world, 1, name="Boiler")
    world.pass_time(THRESHOLD)
    assert world.incidents() == []
    world.pass_time(MINUTE)
    assert [row.mac for row in world.incidents()] == [1]


@pytest.mark.usefixtures("database_clock")
def test_pause_between_two_sweeps_closes_the_incident(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(12 * MINUTE)
    world.now += SECOND
    configure(world, 1, paused=True)
    configure(world, 1, paused=False)
    world.pass_time(THRESHOLD)
    assert [row.closed_reason for row in world.incidents()] == ["paused"]
    world.pass_time(MINUTE)
    assert [row.closed_reason for row in world.incidents()] == ["paused", None]


@pytest.mark.usefixtures("database_clock")
def test_sensor_resumed_by_a_clock_that_was_ahead_is_reported(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(MINUTE, 2)
    configure(world, 1, paused=True)
    world.now += 2 * DAY
    configure(world, 1, paused=False)
    world.sweep.run(world.lease, world.now)
    world.now -= 2 * DAY
    world.pass_time(THRESHOLD + 2 * MINUTE, 2)
    assert [row.mac for row in world.incidents()] == [1]
