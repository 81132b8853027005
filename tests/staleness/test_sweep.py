from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from monitor.incidents.service import Alerting
from monitor.model import DAY, MINUTE, SECOND, Heartbeat, Seen
from monitor.refusal import INVALID, UNAUTHORIZED
from monitor.staleness.sweep import Options, Outcome, Sweep
from monitor.state import incidents, leases, refusals, sensors
from monitor.state.database import open_state, reading, writing
from monitor.state.incidents import Incident
from monitor.state.leases import Lease, LeaseLost
from monitor.state.migrating import migrate
from monitor.state.refusals import Refused
from monitor.state.tables import alert_group, blind_window, notification, sensor
from monitor.store.interface import CoverageSpan, StoreUnavailable
from monitor.store.sqlite import SqliteStore
from tests.delivering import watch
from tests.states import new_state

THRESHOLD = 10 * MINUTE
START = 1_800_000_000_000
OPTIONS = Options(threshold=THRESHOLD, source_lost_after=15 * MINUTE, retention=30 * DAY)
ALERTING = Alerting(("email", "webhook"), group_wait=30 * SECOND, group_interval=5 * MINUTE)


class FailingStore(SqliteStore):
    """A store in which the test chooses the query that fails."""

    failing = ""

    def __getattribute__(self, name: str) -> Any:
        if name and name == object.__getattribute__(self, "failing"):
            raise StoreUnavailable("simulated failure")
        return super().__getattribute__(name)


class World:
    """A store, a state and one scheduler, with a clock that the test moves."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "heartbeats.sqlite"
        self.store = FailingStore(self.path, 30 * DAY, writable=True)
        self.store.migrate()
        self.engine: Engine = new_state(directory / "state.sqlite")
        self.now = START
        self.listening_since = START
        self.lease = self.take_lease("first")
        self.sweep = self.new_sweep()

    def take_lease(self, holder: str) -> Lease:
        lease = leases.acquire(self.engine, "scheduler", holder, DAY)
        assert lease
        return lease

    def new_sweep(self) -> Sweep:
        return Sweep(self.store, self.engine, OPTIONS, ALERTING, watch(*ALERTING.channels))

    def store_heartbeats(self, *macs: int, live: bool = True, time: int | None = None) -> None:
        stamp = self.now if time is None else time
        beats = [Heartbeat(mac, stamp, self.now, live) for mac in macs]
        self.store.append(beats)
        self.announce(*beats)

    def announce(self, *beats: Heartbeat) -> None:
        self.store.announce("here", self.now, [Seen(b.mac, b.seen, b.live) for b in beats])

    def report_coverage(self) -> None:
        self.store.add_coverage(CoverageSpan("here", self.listening_since, self.now, False))

    def pass_time(self, duration: int, *beating: int, every: int = MINUTE) -> list[Outcome]:
        """Let time pass; every `every` ms report coverage, store these heartbeats and sweep."""
        outcomes = []
        end = self.now + duration
        while self.now < end:
            self.now += every
            if beating:
                self.store_heartbeats(*beating)
            self.report_coverage()
            outcomes.append(self.sweep.run(self.lease, self.now))
        return outcomes

    def incidents(self) -> list[Incident]:
        with reading(self.engine) as connection:
            rows = [Incident(*row) for row in connection.execute(select(*incidents._COLUMNS))]
        return sorted(rows)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.store.close()


def test_silent_sensor_gets_one_incident_and_one_message_per_channel(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(30 * MINUTE, 2)
    (only,) = world.incidents()
    assert (only.mac, only.proven, only.last_seen) == (1, True, START)
    assert only.opened_at == START + THRESHOLD + MINUTE
    with reading(world.engine) as connection:
        rows = connection.execute(select(notification)).all()
    assert sorted((row.channel, row.kind) for row in rows) == [
        ("email", "down"),
        ("webhook", "down"),
    ]
    assert {row.next_attempt_at for row in rows} == {only.opened_at + ALERTING.group_wait}


def test_silence_of_exactly_the_threshold_opens_no_incident(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(THRESHOLD)
    assert world.incidents() == []


def refuse(world: World, mac: int, reason: str) -> None:
    with writing(world.engine) as connection:
        refusals.record(connection, {mac: Refused(world.now, reason)}, {}, world.now)


def pass_time_refusing(world: World, duration: int, mac: int, reason: str) -> None:
    """The sensor reports each minute, and is refused."""
    end = world.now + duration
    while world.now < end:
        refuse(world, mac, reason)
        world.pass_time(MINUTE)


def test_sensor_that_we_refuse_is_not_down_until_it_is_presumed_down(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(MINUTE, 1, 2)
    pass_time_refusing(world, 5 * THRESHOLD, 1, UNAUTHORIZED)
    assert {row.mac for row in world.incidents()} == {2}
    pass_time_refusing(world, 2 * MINUTE, 1, UNAUTHORIZED)
    presumed = next(row for row in world.incidents() if row.mac == 1)
    assert not presumed.proven


def test_sensor_that_dies_after_it_was_refused_is_down(world: World) -> None:
    world.store_heartbeats(1)
    pass_time_refusing(world, 15 * MINUTE, 1, UNAUTHORIZED)
    assert world.incidents() == []
    world.pass_time(THRESHOLD)
    assert [row.proven for row in world.incidents()] == [True]


def test_invalid_heartbeats_do_not_excuse_silence(world: World) -> None:
    world.store_heartbeats(1)
    pass_time_refusing(world, 12 * MINUTE, 1, INVALID)
    assert len(world.incidents()) == 1


def test_refusal_by_a_clock_that_was_ahead_does_not_excuse_silence(world: World) -> None:
    world.store_heartbeats(1)
    with writing(world.engine) as connection:
        later = {1: Refused(world.now + DAY, UNAUTHORIZED)}
        refusals.record(connection, later, {}, world.now)
    world.pass_time(12 * MINUTE)
    assert len(world.incidents()) == 1


def test_heartbeat_closes_the_incident_and_the_next_silence_opens_another(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(12 * MINUTE)
    world.pass_time(2 * MINUTE, 1)
    (first,) = world.incidents()
    assert first.closed_reason == "recovered"
    assert first.recovered_at == START + 13 * MINUTE
    world.pass_time(15 * MINUTE)
    assert [row.closed_at is None for row in world.incidents()] == [False, True]


def test_sensors_of_one_site_share_a_group_and_many_single_outages_join(
    world: World,
) -> None:
    with writing(world.engine) as connection:
        for mac in (1, 2, 3):
            version = sensors.next_version(connection)
            sensors.configure(connection, mac, version, site="North")
    world.store_heartbeats(*range(1, 4), *range(10, 13))
    world.pass_time(11 * MINUTE, 20, 21, 30)
    with reading(world.engine) as connection:
        assert len(set(connection.scalars(select(alert_group.c.id)))) == 4
    world.pass_time(11 * MINUTE, 30)
    by_mac = {row.mac: row.group_id for row in world.incidents()}
    assert len({by_mac[mac] for mac in (1, 2, 3)}) == 1
    assert len({by_mac[mac] for mac in (10, 11, 12, 20, 21)}) == 1
    with reading(world.engine) as connection:
        cancelled = select(notification).where(notification.c.state == "cancelled")
        assert len(connection.execute(cancelled).all()) == 3 * len(ALERTING.channels)


def test_sensor_without_live_heartbeats_opens_no_incident(
    world: World,
) -> None:
    world.store_heartbeats(1, live=False, time=START - 2 * MINUTE)
    world.pass_time(30 * MINUTE)
    assert world.incidents() == []
    world.pass_time(MINUTE, 1)
    world.pass_time(30 * MINUTE)
    assert len(world.incidents()) == 1


def test_history_updates_last_seen_of_an_open_incident_without_a_message(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(20 * MINUTE)
    world.store_heartbeats(1, live=False, time=START + 5 * MINUTE)
    world.pass_time(MINUTE)
    (row,) = world.incidents()
    assert (row.last_seen, row.closed_at) == (START + 5 * MINUTE, None)


def test_heartbeat_missing_from_the_arrival_log_is_found_in_the_store(
    world: World,
) -> None:
    world.store_heartbeats(1)
    world.pass_time(8 * MINUTE)
    world.store.append([Heartbeat(1, world.now, world.now)])
    world.pass_time(8 * MINUTE)
    assert world.incidents() == []
    world.pass_time(5 * MINUTE)
    assert [row.last_seen for row in world.incidents()] == [START + 8 * MINUTE]


def test_without_coverage_nothing_is_judged_and_the_gap_is_blind(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(5 * MINUTE, 2)
    for _ in range(30):  # the host is down: no heartbeats and no coverage
        world.now += MINUTE
        world.sweep.run(world.lease, world.now)
    assert world.incidents() == []
    world.listening_since = world.now
    world.pass_time(THRESHOLD, 2)
    assert world.incidents() == []
    with reading(world.engine) as connection:
        gaps = connection.execute(select(blind_window.c.start, blind_window.c.stop)).all()
    assert (START + 5 * MINUTE, START + 35 * MINUTE) in [tuple(gap) for gap in gaps]
    world.pass_time(MINUTE, 2)
    assert [row.mac for row in world.incidents()] == [1]


def test_heartbeats_kept_in_the_wal_during_a_store_outage_prevent_false_alerts(
    world: World,
) -> None:
    world.store_heartbeats(1)
    world.pass_time(5 * MINUTE, 1)
    spooled = []
    for _ in range(30):  # the store is unavailable, the ingest app still accepts
        world.now += MINUTE
        spooled.append(Heartbeat(1, world.now, world.now))
    world.store.append(spooled)
    world.announce(*spooled)
    world.pass_time(5 * MINUTE, 1)
    assert world.incidents() == []


def test_restarted_scheduler_finds_dead_and_new_sensors(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(5 * MINUTE, 1, 2)
    for minute in range(180):
        world.now += MINUTE
        world.store_heartbeats(*([2, 3] if minute < 90 else [2]))
        world.report_coverage()
    world.sweep = world.new_sweep()
    world.pass_time(2 * MINUTE, 2)
    assert sorted(row.mac for row in world.incidents()) == [1, 3]


def test_new_scheduler_finds_sensor_whose_heartbeats_arrived_late(
    world: World,
) -> None:
    world.store_heartbeats(1)
    world.pass_time(5 * MINUTE, 1)
    spooled = [Heartbeat(2, world.now + MINUTE, world.now + MINUTE)]
    for _ in range(30):
        world.now += MINUTE
        world.sweep.run(world.lease, world.now)
    world.now += 20 * MINUTE  # no scheduler runs, and the ingest app is back
    world.store.append(spooled)
    world.announce(*spooled)
    world.store_heartbeats(1)
    world.report_coverage()
    world.sweep = world.new_sweep()
    world.pass_time(2 * MINUTE, 1)
    assert [row.mac for row in world.incidents()] == [2]


def test_new_state_learns_sensors_from_an_existing_store(world: World, tmp_path: Path) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(5 * MINUTE, 1, 2)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    world.engine = open_state(f"sqlite:///{fresh / 'state.sqlite'}")
    migrate(world.engine)
    world.lease = world.take_lease("second")
    world.sweep = world.new_sweep()
    world.pass_time(20 * MINUTE, 2)
    assert [row.mac for row in world.incidents()] == [1]


def test_leader_without_lease_writes_nothing_and_its_successor_does(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(9 * MINUTE)
    leases.release(world.engine, world.lease)
    stale, world.lease = world.lease, world.take_lease("second")
    other = world.new_sweep()
    world.now += 3 * MINUTE
    world.report_coverage()
    with pytest.raises(LeaseLost):
        world.sweep.run(stale, world.now)
    assert world.incidents() == []
    assert len(other.run(world.lease, world.now).opened) == 1
    with pytest.raises(LeaseLost):
        world.sweep.run(stale, world.now)
    assert len(world.incidents()) == 1


def test_standby_that_takes_over_registers_sensors_that_the_leader_missed(world: World) -> None:
    world.pass_time(MINUTE)
    standby = world.new_sweep()
    world.store_heartbeats(1)
    standby.watch(world.now)
    leases.release(world.engine, world.lease)
    world.lease, world.sweep = world.take_lease("second"), standby
    world.pass_time(MINUTE)
    with reading(world.engine) as connection:
        assert list(connection.scalars(select(sensor.c.mac))) == [1]


def test_suspended_standby_reads_missed_arrivals_before_it_leads(world: World) -> None:
    world.pass_time(MINUTE)
    standby = world.new_sweep()
    standby.watch(world.now)
    world.store_heartbeats(1)  # and never again
    world.pass_time(MINUTE)
    leases.release(world.engine, world.lease)
    world.lease, world.sweep = world.take_lease("second"), standby
    world.pass_time(12 * MINUTE)
    assert [row.mac for row in world.incidents()] == [1]


@pytest.mark.parametrize("question", ["coverage", "arrivals", "last_seen"])
def test_next_sweep_makes_up_for_a_failed_store_query(world: World, question: str) -> None:
    world.store_heartbeats(1)
    world.pass_time(10 * MINUTE)
    world.store_heartbeats(2)
    world.store.failing = question
    world.now += MINUTE
    world.report_coverage()
    with pytest.raises(StoreUnavailable):
        world.sweep.run(world.lease, world.now)
    assert world.incidents() == []
    world.store.failing = ""
    world.pass_time(10 * MINUTE)
    assert [row.mac for row in world.incidents()] == [1, 2]


def test_pause_or_longer_threshold_closes_the_incident(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(12 * MINUTE)
    with writing(world.engine) as connection:
        version = sensors.next_version(connection)
        sensors.configure(connection, 1, version, paused=True)
        sensors.configure(connection, 2, version, threshold=20 * MINUTE)
    world.pass_time(MINUTE)
    assert [row.closed_reason for row in world.incidents()] == ["paused", "threshold changed"]
    world.pass_time(10 * MINUTE)
    assert [row.mac for row in world.incidents() if row.closed_at is None] == [2]


def test_dead_sensor_is_reported_under_frequent_blind_windows(world: World) -> None:
    world.store_heartbeats(1)
    for _ in range(12):
        world.pass_time(9 * MINUTE)
        world.now += 20 * SECOND
        world.listening_since = world.now
    (row,) = world.incidents()
    assert not row.proven


def test_first_view_is_kept_when_the_lease_expires_during_the_read(world: World) -> None:
    world.store_heartbeats(1)
    world.now += MINUTE
    world.report_coverage()
    leases.release(world.engine, world.lease)
    with pytest.raises(LeaseLost):  # it ran out while the view was filled
        world.sweep.run(world.lease, world.now)
    view = world.sweep._view
    world.lease = world.take_lease("again")
    assert world.sweep.run(world.lease, world.now).registered == 1
    assert world.sweep._view is view
    world.pass_time(12 * MINUTE)
    assert len(world.incidents()) == 1


def test_old_history_does_not_close_an_incident_after_a_blind_window(world: World) -> None:
    world.store_heartbeats(1, 2, 3)
    world.pass_time(25 * MINUTE, 3)
    world.now += 2 * MINUTE
    world.listening_since = world.now
    world.store_heartbeats(1, live=False, time=START + 5 * MINUTE)
    with writing(world.engine) as connection:
        version = sensors.next_version(connection)
        sensors.configure(connection, 2, version, threshold=11 * MINUTE)
    world.pass_time(5 * MINUTE, 3)
    assert {row.mac: (row.last_seen, row.closed_at) for row in world.incidents()} == {
        1: (START + 5 * MINUTE, None),
        2: (START, None),
    }


def test_coverage_in_the_future_does_not_move_the_horizon_past_now(
    world: World,
) -> None:
    world.store_heartbeats(1)
    world.store.add_coverage(CoverageSpan("ahead", START, START + DAY, False))
    (outcome,) = world.pass_time(MINUTE)
    assert outcome.horizon == world.now


def test_heartbeat_stored_during_a_delayed_sweep_counts_from_its_arrival(world: World) -> None:
    world.store_heartbeats(1)
    world.pass_time(12 * MINUTE)
    began = world.now
    leases.release(world.engine, world.lease)
    world.now += 11 * MINUTE
    world.store_heartbeats(1)
    world.report_coverage()
    with pytest.raises(LeaseLost):  # it was suspended, and continues with the old time
        world.sweep.run(world.lease, began)
    world.lease = world.take_lease("again")
    world.sweep.run(world.lease, world.now)
    (row,) = world.incidents()
    assert (row.closed_reason, row.recovered_at) == ("recovered", world.now)


def test_open_incident_in_a_closed_group_does_not_stop_the_sweep(world: World) -> None:
    world.store_heartbeats(1, 2)
    world.pass_time(12 * MINUTE, 2)
    with writing(world.engine) as connection:
        connection.execute(update(alert_group).values(closed_at=world.now))
    world.pass_time(12 * MINUTE)
    assert [row.mac for row in world.incidents() if row.closed_at is None] == [1, 2]
    world.pass_time(2 * MINUTE, 1, 2)
    assert [row.closed_reason for row in world.incidents()] == ["recovered", "recovered"]
