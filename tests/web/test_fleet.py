import sqlite3
from typing import Any

import pytest

from monitor.errors import StateUnavailable
from monitor.model import DAY, MINUTE, SECOND
from monitor.store.interface import Arrivals, Cursor, StoreUnavailable
from monitor.store.sqlite import SqliteStore
from monitor.web.grid.fleet import Fleet, FleetChanges, FleetUnavailable
from tests.waiting import eventually
from tests.web.fleet_rig import THRESHOLD, Rig


def statuses(changes: FleetChanges) -> dict[int, str]:
    return {entry.mac: entry.status.value for entry in changes.entries}


def later(rig: Rig, fleet: Fleet, cursor: object, pause: int = 2 * SECOND) -> FleetChanges:
    """The changes after `pause` ms, when the view can be refreshed again."""
    rig.clock.ahead += pause
    return fleet.changes(str(cursor))


def test_reporting_sensor_is_up_before_it_is_registered(rig: Rig) -> None:
    rig.beat(1, ago=5 * SECOND)
    (entry,) = rig.fleet().changes(None).entries
    assert (entry.mac, entry.status, entry.name) == (1, "up", None)
    assert entry.last_seen is not None
    assert entry.threshold == THRESHOLD


def test_request_without_a_cursor_returns_the_whole_fleet(rig: Rig) -> None:
    rig.beat(1, 2)
    rig.register(1, 2)
    changes = rig.fleet().changes(None)
    assert changes.reset
    assert set(statuses(changes)) == {1, 2}


def test_poll_returns_only_changes(rig: Rig) -> None:
    rig.beat(1, 2, 3)
    rig.register(1, 2, 3)
    fleet = rig.fleet()
    first = fleet.changes(None)
    rig.beat(2)
    second = later(rig, fleet, first.cursor)
    assert (list(statuses(second)), second.reset) == ([2], False)
    assert later(rig, fleet, second.cursor).entries == []


def test_changed_settings_of_a_sensor_are_returned(rig: Rig) -> None:
    rig.beat(1, 2)
    rig.register(1, 2)
    fleet = rig.fleet()
    first = fleet.changes(None)
    rig.configure(2, name="Boiler room", site="Harbour", threshold=20 * SECOND)
    (entry,) = later(rig, fleet, first.cursor).entries
    assert (entry.name, entry.site, entry.threshold) == ("Boiler room", "Harbour", 20 * SECOND)


def test_sensor_is_down_while_an_incident_is_open(rig: Rig) -> None:
    rig.beat(1, ago=11 * MINUTE)
    rig.register(1)
    fleet = rig.fleet()
    first = fleet.changes(None)
    assert statuses(first) == {1: "unknown"}
    opened_at = rig.open_incidents([1])
    second = later(rig, fleet, first.cursor)
    assert statuses(second) == {1: "down"}
    assert second.entries[0].incident_since == opened_at
    assert second.entries[0].thread == f"heartbeat-monitor-1-{opened_at}"
    rig.beat(1)
    rig.close_incident(1)
    third = later(rig, fleet, second.cursor)
    assert statuses(third) == {1: "up"}
    assert third.entries[0].incident_since is None


def test_last_seen_before_the_retention_comes_from_the_incident(rig: Rig) -> None:
    rig.register(1)
    opened_at = rig.open_incidents([1], silent_for=100 * DAY)
    (entry,) = rig.fleet().changes(None).entries
    assert entry.last_seen == opened_at - 100 * DAY
    assert entry.status == "down"


def test_sensor_without_heartbeats_is_waiting_and_paused_sensor_is_paused(rig: Rig) -> None:
    rig.configure(1, name="new")
    rig.configure(2, paused=True)
    rig.beat(2)
    assert statuses(rig.fleet().changes(None)) == {1: "waiting", 2: "paused"}


def test_last_seen_is_found_in_the_whole_retention(
    rig: Rig,
) -> None:
    rig.beat(1, ago=30 * DAY)
    rig.register(1)
    assert statuses(rig.fleet().changes(None)) == {1: "unknown"}


def test_forgotten_sensor_is_listed_once_and_returns_when_it_reports(rig: Rig) -> None:
    rig.beat(1, 2)
    rig.register(1, 2)
    fleet = rig.fleet()
    first = fleet.changes(None)
    rig.forget(1)
    second = later(rig, fleet, first.cursor)
    assert (second.entries, second.forgotten) == ([], [1])
    third = later(rig, fleet, second.cursor)
    assert (third.entries, third.forgotten) == ([], [])
    assert set(statuses(fleet.changes(None))) == {2}
    rig.beat(1)
    assert set(statuses(later(rig, fleet, third.cursor))) == {1}


def test_cursor_is_valid_for_another_worker(rig: Rig) -> None:
    rig.beat(1, 2, 3)
    rig.register(1, 2, 3)
    one, other = rig.fleet(), rig.fleet()
    one.changes(None)
    other.changes(None)
    rig.beat(1)
    rig.clock.ahead += 2 * SECOND
    first = other.changes(None)
    one.changes(None)
    rig.beat(2)
    second = later(rig, one, first.cursor)
    assert 2 in statuses(second)
    assert 3 not in statuses(second)
    assert not second.reset


def test_worker_behind_the_cursor_refreshes_before_it_responds(rig: Rig) -> None:
    rig.beat(1)
    rig.register(1)
    behind, ahead = rig.fleet(), rig.fleet()
    behind.changes(None)
    ahead.changes(None)
    rig.clock.ahead += SECOND
    rig.beat(2)
    behind.changes(None)
    rig.clock.ahead += SECOND
    rig.beat(3)
    first = ahead.changes(None)
    assert set(statuses(first)) == {1, 2, 3}
    rig.clock.ahead += SECOND // 5
    answer = behind.changes(str(first.cursor))
    assert not answer.reset
    assert (answer.cursor.position, answer.cursor.version) == first.cursor[:2]


@pytest.mark.parametrize(
    "cursor", ["", "x", "1.2", "1.2.3.4", "-1.2.abcdef01.1", "1.2.abcdef01.1 ", "١.٢.abcdef01.1"]
)
def test_invalid_cursor_returns_the_whole_fleet(rig: Rig, cursor: str) -> None:
    rig.beat(1)
    changes = rig.fleet().changes(cursor)
    assert changes.reset
    assert set(statuses(changes)) == {1}


@pytest.mark.parametrize("cursor", ["999999.1.00000000.1", "1.999999.00000000.1", "0.0.00000000.1"])
def test_cursor_that_is_too_old_or_ahead_returns_the_whole_fleet(rig: Rig, cursor: str) -> None:
    rig.beat(1)
    rig.register(1)
    changes = rig.fleet().changes(cursor)
    assert changes.reset
    assert set(statuses(changes)) == {1}


def test_store_is_queried_at_most_twice_a_second(rig: Rig) -> None:
    rig.beat(1)
    fleet = rig.fleet()
    cursor = str(fleet.changes(None).cursor)
    rig.beat(2)
    assert fleet.changes(cursor).entries == []
    rig.clock.ahead += SECOND // 2
    assert set(statuses(fleet.changes(cursor))) == {2}


def test_store_is_read_completely_after_a_long_pause(rig: Rig) -> None:
    rig.beat(1)
    fleet = rig.fleet()
    first = fleet.changes(None)
    rig.clock.ahead += DAY + MINUTE
    rig.beat(2)
    rig.writer.expire(rig.clock.now() + DAY)
    changes = fleet.changes(str(first.cursor))
    assert statuses(changes) == {1: "unknown", 2: "up"}


def test_unavailable_state_serves_the_last_view_with_new_arrivals(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.beat(1)
    rig.register(1)
    fleet = rig.fleet()
    first = fleet.changes(None)
    started = rig.clock.now()

    def unavailable(*_: object) -> Any:
        raise StateUnavailable("unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("monitor.web.grid.fleet.reading", unavailable)
        rig.beat(2)
        second = later(rig, fleet, first.cursor)
        assert set(statuses(second)) == {2}
        assert second.problem == "The state database can't be read."
        assert second.stale_since is not None
        assert second.stale_since <= started
    third = later(rig, fleet, second.cursor, 6 * SECOND)
    assert third.problem is None


class FailingStore(SqliteStore):
    """A store that can be unavailable."""

    unavailable = False

    def arrivals(self, after: Cursor | None) -> Arrivals:
        if self.unavailable:
            raise StoreUnavailable("unavailable")
        return super().arrivals(after)


def test_unavailable_store_serves_the_last_view_with_the_problem(rig: Rig) -> None:
    rig.beat(1)
    rig.register(1)
    store = FailingStore(rig.directory / "heartbeats.sqlite", 90 * DAY)
    fleet = Fleet(store, rig.engine, rig.clock, THRESHOLD, 90 * DAY)
    store.unavailable = True
    with pytest.raises(FleetUnavailable, match="store can't be read"):
        fleet.changes(None)
    store.unavailable = False
    rig.clock.ahead += 5 * SECOND
    first = fleet.changes(None)
    assert first.problem is None
    store.unavailable = True
    rig.configure(1, name="renamed")
    second = later(rig, fleet, first.cursor)
    assert second.problem == "The heartbeat store can't be read."
    assert [entry.name for entry in second.entries] == ["renamed"]
    ahead = f"{first.cursor.position + 99}.{first.cursor.version}.00000000.1"
    assert not fleet.changes(ahead).reset
    store.close()


def test_locked_state_does_not_block_requests(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.beat(1)
    rig.register(1)
    fleet = rig.fleet()
    first = fleet.changes(None)
    monkeypatch.setattr("monitor.web.grid.fleet._PATIENCE", 0.05)
    lock = sqlite3.connect(rig.directory / "state.sqlite", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        changes = later(rig, fleet, first.cursor, 11 * SECOND)
        assert changes.problem is not None
        assert "slow" in changes.problem
    finally:
        lock.rollback()
        lock.close()
    eventually(lambda: later(rig, fleet, first.cursor).problem is None)


class StoreWithLateRows(SqliteStore):
    """Some rows of its arrival log are not visible yet, though later ones are."""

    hidden: frozenset[int] = frozenset()

    def arrivals(self, after: Cursor | None) -> Arrivals:
        newest = super().arrivals(None).cursor.position
        if after is None:
            return Arrivals([], {}, Cursor(newest))
        visible = {("here", "row", row) for row in range(1, newest + 1) if row not in self.hidden}
        rows = visible - after.read
        seen = [
            super(StoreWithLateRows, self).arrivals(Cursor(row - 1)).seen[0] for _, _, row in rows
        ]
        return Arrivals(seen, {}, Cursor(newest, after.read | rows))


def test_arrival_visible_late_reaches_clients_of_a_worker_that_missed_it(
    rig: Rig,
) -> None:
    def worker() -> tuple[StoreWithLateRows, Fleet]:
        store = StoreWithLateRows(rig.directory / "heartbeats.sqlite", 90 * DAY)
        rig.readers.append(store)
        return store, Fleet(store, rig.engine, rig.clock, THRESHOLD, 90 * DAY)

    rig.beat(1)
    (early, one), (_, other) = worker(), worker()
    one.changes(None)
    other.changes(None)
    rig.beat(2)
    rig.beat(3)
    early.hidden = frozenset({2})
    rig.clock.ahead += 2 * SECOND
    unaware = one.changes(None)
    assert set(statuses(unaware)) == {1, 3}
    answer = other.changes(str(unaware.cursor))
    assert not answer.reset
    assert 2 in statuses(answer)
