"""Silenced sensors in the data of the grid."""

from monitor.model import HOUR, MINUTE, SECOND
from monitor.state import silences
from monitor.state.database import writing
from monitor.web.grid.fleet import FleetChanges
from tests.web.fleet_rig import Rig


def silence(rig: Rig, *matchers: str, after: int = 0) -> int:
    """Add a silence of an hour that starts in `after` ms; its id."""
    now = rig.clock.now()
    with writing(rig.engine) as connection:
        return silences.add_silence(
            connection, list(matchers), now + after, now + after + HOUR, "repairs", "me", now
        )


def silenced(changes: FleetChanges) -> dict[int, bool]:
    return {entry.mac: entry.held is not None for entry in changes.entries}


def test_new_silence_is_reported_at_once_for_matching_sensors_only(rig: Rig) -> None:
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


def test_start_of_a_planned_silence_is_reported_within_30_seconds(rig: Rig) -> None:
    rig.configure(1)
    fleet = rig.fleet()
    first = fleet.changes(None)
    silence(rig, after=MINUTE)
    rig.clock.ahead += SECOND
    assert fleet.changes(str(first.cursor)).entries == []
    rig.clock.ahead += MINUTE + 30 * SECOND
    assert silenced(fleet.changes(str(first.cursor))) == {1: True}


def test_changed_sensor_that_now_matches_a_silence_is_reported(rig: Rig) -> None:
    rig.configure(1, site="Hill")
    silence(rig, "site=Harbour")
    fleet = rig.fleet()
    first = fleet.changes(None)
    rig.configure(1, site="Harbour")
    rig.clock.ahead += SECOND
    assert silenced(fleet.changes(str(first.cursor))) == {1: True}


def test_silence_not_yet_noticed_by_one_worker_is_reported_by_another(
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


def test_end_of_a_silence_is_reported(rig: Rig) -> None:
    rig.configure(1)
    number = silence(rig)
    fleet = rig.fleet()
    first = fleet.changes(None)
    assert silenced(first) == {1: True}
    with writing(rig.engine) as connection:
        silences.end_silence(connection, number, rig.clock.now())
    rig.clock.ahead += SECOND
    assert silenced(fleet.changes(str(first.cursor))) == {1: False}
