"""Who is silenced, as the pages learn of it."""

from monitor.model import HOUR, MINUTE, SECOND
from monitor.state import silences
from monitor.state.database import writing
from monitor.web.grid.fleet import FleetChanges
from tests.web.fleet_rig import Rig


def silence(rig: Rig, *matchers: str, after: int = 0) -> int:
    """For an hour, `after` ms from now."""
    now = rig.clock.now()
    with writing(rig.engine) as connection:
        return silences.add_silence(
            connection, list(matchers), now + after, now + after + HOUR, "repairs", "me", now
        )


def silenced(changes: FleetChanges) -> dict[int, bool]:
    return {entry.mac: entry.held is not None for entry in changes.entries}


def test_a_silence_is_told_of_at_once_and_only_of_those_it_covers(rig: Rig) -> None:
    rig.configure(1, site="Harbour")
    rig.configure(2, site="Hill")
    fleet = rig.fleet()
    first = fleet.changes(None)
    assert silenced(first) == {1: False, 2: False}
    silence(rig, "site=Harbour")
    rig.clock.ahead += SECOND
    second = fleet.changes(str(first.cursor))
    assert silenced(second) == {1: True}
    (entry,) = second.entries
    assert entry.held is not None
    assert entry.held.until > rig.clock.now()
    assert "silence" in entry.held.reason


def test_a_silence_that_begins_later_is_noticed_within_half_a_minute(rig: Rig) -> None:
    rig.configure(1)
    fleet = rig.fleet()
    first = fleet.changes(None)
    silence(rig, after=MINUTE)
    rig.clock.ahead += SECOND
    assert fleet.changes(str(first.cursor)).entries == []
    rig.clock.ahead += MINUTE + 30 * SECOND
    assert silenced(fleet.changes(str(first.cursor))) == {1: True}


def test_a_sensor_that_comes_under_a_silence_by_a_change_of_its_own_is_told_so(rig: Rig) -> None:
    rig.configure(1, site="Hill")
    silence(rig, "site=Harbour")
    fleet = rig.fleet()
    first = fleet.changes(None)
    rig.configure(1, site="Harbour")
    rig.clock.ahead += SECOND
    assert silenced(fleet.changes(str(first.cursor))) == {1: True}


def test_a_client_of_a_worker_that_noticed_late_is_told_by_the_one_that_noticed_early(
    rig: Rig,
) -> None:
    rig.configure(1)
    one, other = rig.fleet(), rig.fleet()
    one.changes(None)
    rig.clock.ahead += 20 * SECOND
    other.changes(None)
    silence(rig, after=5 * SECOND)
    rig.clock.ahead += SECOND
    unaware = other.changes(None).cursor
    rig.clock.ahead += 10 * SECOND
    assert silenced(one.changes(None)) == {1: True}
    rig.clock.ahead += SECOND
    rig.beat(2)
    unaware = other.changes(str(unaware)).cursor
    rig.clock.ahead += SECOND
    assert silenced(one.changes(str(unaware))) == {1: True, 2: False}


def test_the_end_of_a_silence_is_told(rig: Rig) -> None:
    rig.configure(1)
    number = silence(rig)
    fleet = rig.fleet()
    first = fleet.changes(None)
    assert silenced(first) == {1: True}
    with writing(rig.engine) as connection:
        silences.end_silence(connection, number, rig.clock.now())
    rig.clock.ahead += SECOND
    assert silenced(fleet.changes(str(first.cursor))) == {1: False}
