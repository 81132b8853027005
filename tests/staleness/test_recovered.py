"""When an incident ends."""

from monitor.model import MINUTE, SECOND, Heartbeat
from tests.staleness.test_sweep import START, World, world

__all__ = ["world"]


def test_incident_ends_at_the_first_of_several_heartbeats_in_one_sweep(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(12 * MINUTE)
    first = Heartbeat(1, world.now + 10 * SECOND, world.now + 10 * SECOND)
    second = Heartbeat(1, world.now + 40 * SECOND, world.now + 40 * SECOND)
    late = Heartbeat(1, START + MINUTE, START + MINUTE)
    world.store.append([second, late, first])
    world.announce(second, late, first)
    world.now += MINUTE
    world.report_coverage()
    world.sweep.run(world.lease, world.now)
    (row,) = world.incidents()
    assert (row.closed_reason, row.recovered_at) == ("recovered", first.received)
