"""From the last heartbeat to the recipient, through sweep and delivery, while some are quiet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.channels.interface import Message
from monitor.incidents.flapping import USUAL
from monitor.incidents.hold_policy import holding
from monitor.incidents.service import Alerting
from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat, Seen
from monitor.services import maintenance, silences
from monitor.staleness.sweep import Options, Sweep
from monitor.state import leases, sensors
from monitor.state.database import writing
from monitor.store.interface import CoverageSpan
from monitor.store.sqlite import SqliteStore
from tests.delivering import delivery, watch
from tests.outages import rows

T = 10 * MINUTE
START = 1_800_000_000_000  # 2027-01-15T08:00:00Z, in Berlin 09:00
REPEAT = 20 * MINUTE


class Recipient:
    """Keeps what it is told."""

    name = "email"

    def __init__(self) -> None:
        self.got: list[Message] = []

    def send(self, message: Message) -> None:
        self.got.append(message)


class World:
    """A fleet of three in one hall, swept and told of each minute."""

    def __init__(self, state: Engine, path: Path) -> None:
        self.engine, self.now = state, START
        self.store = SqliteStore(path / "heartbeats.sqlite", 30 * DAY, writable=True)
        self.store.migrate()
        lease = leases.acquire(state, "scheduler", "here", DAY)
        assert lease
        self.lease = lease
        options = Options(threshold=T, source_lost_after=HOUR, retention=30 * DAY)
        alerting = Alerting(("email",), group_wait=30 * SECOND, group_interval=5 * MINUTE)
        self.sweep = Sweep(self.store, state, options, alerting, watch())
        self.recipient = Recipient()
        self.notifier = delivery(state, [self.recipient], hold=holding(USUAL), remind_after=REPEAT)
        with writing(state) as connection:
            for mac in (1, 2, 3):
                version = sensors.next_version(connection)
                sensors.configure(connection, mac, version, site="Hall")
        self.pass_time(MINUTE, 1, 2, 3)

    def pass_time(self, duration: int, *beating: int) -> None:
        end = self.now + duration
        while self.now < end:
            self.now += MINUTE
            self.store.append([Heartbeat(mac, self.now, self.now) for mac in beating])
            self.store.announce("here", self.now, [Seen(mac, self.now, True) for mac in beating])
            self.store.add_coverage(CoverageSpan("here", START, self.now, False))
            self.sweep.run(self.lease, self.now)
            self.notifier.deliver_once(self.now)

    def silence(self, duration: int, *macs: int) -> int:
        matchers = [silences.of_macs(macs)]
        until = self.now + duration
        return silences.start(self.engine, "anna", matchers, self.now, until, "why", self.now).id

    def end_silence(self, number: int) -> None:
        silences.end(self.engine, "anna", number, self.now)

    def maintain(self, start: str, stop: str) -> None:
        """By the clocks of Berlin, on each day."""
        maintenance.schedule(
            self.engine,
            *("bo", "paint", ["site=Hall"], "Europe/Berlin"),
            *(f"2027-01-15T{start}", f"2027-01-15T{stop}", "FREQ=DAILY", self.now),
        )

    def told(self) -> list[tuple[str, int, set[int]]]:
        """(kind, minutes since the start, macs) of each message."""
        return [
            (
                message.kind,
                (message.time - START) // MINUTE,
                {int(each["mac"].replace(":", ""), 16) for each in message.data["members"]},
            )
            for message in self.recipient.got
        ]

    def ledger(self) -> list[tuple[str, str, str | None]]:
        return [(row.kind, row.state, row.outcome) for row in rows(self.engine)]


@pytest.fixture
def world(state: Engine, tmp_path: Path) -> Iterator[World]:
    world = World(state, tmp_path)
    yield world
    world.store.close()


# Each world begins with a minute in which all three are heard: 1 is silent from minute 1 on, its
# incident opens in minute 12, and its message is due in minute 13.


def test_without_a_silence_it_is_told_in_the_thirteenth_minute(world: World) -> None:
    world.pass_time(15 * MINUTE, 2, 3)
    assert world.told() == [("down", 13, {1})]


@pytest.mark.parametrize("begins_after", [0, 11])
def test_who_is_still_silent_when_the_silence_ends_is_told_of_then(
    world: World, begins_after: int
) -> None:
    world.pass_time(begins_after * MINUTE, 2, 3)
    world.silence((40 - begins_after) * MINUTE, 1)
    world.pass_time(50 * MINUTE, 2, 3)
    assert world.told()[0] == ("down", 41, {1})


def test_who_recovers_inside_a_silence_is_never_told_of(world: World) -> None:
    world.silence(40 * MINUTE, 1)
    world.pass_time(20 * MINUTE, 2, 3)
    assert [state for _, state, _ in world.ledger()] == ["pending"]
    world.pass_time(60 * MINUTE, 1, 2, 3)
    assert world.told() == []
    assert ("down", "cancelled", "recovered first") in world.ledger()
    assert ("recovered", "cancelled", "no alert was sent") in world.ledger()


def test_who_was_told_before_is_told_of_the_recovery_once_the_silence_is_over(
    world: World,
) -> None:
    world.pass_time(14 * MINUTE, 2, 3)
    world.silence(40 * MINUTE, 1)
    world.pass_time(10 * MINUTE, 2, 3)
    world.pass_time(60 * MINUTE, 1, 2, 3)
    assert world.told() == [("down", 13, {1}), ("recovered", 55, {1})]


def test_reminders_pause_inside_a_silence(world: World) -> None:
    world.pass_time(14 * MINUTE, 2, 3)
    world.silence(60 * MINUTE, 1)
    world.pass_time(80 * MINUTE, 2, 3)
    assert world.told() == [("down", 13, {1}), ("reminder", 75, {1}), ("reminder", 95, {1})]


def test_the_neighbours_of_a_silenced_sensor_are_told_of_without_it(world: World) -> None:
    world.silence(40 * MINUTE, 1)
    world.pass_time(50 * MINUTE, 3)
    down = [(at, macs) for kind, at, macs in world.told() if kind == "down"]
    assert down == [(13, {2}), (41, {1})]
    assert all(1 not in macs for _, at, macs in world.told() if at < 41)


def test_a_silence_ended_early_lets_its_messages_go_at_once(world: World) -> None:
    number = world.silence(10 * HOUR, 1)
    world.pass_time(20 * MINUTE, 2, 3)
    assert world.told() == []
    world.end_silence(number)
    world.pass_time(MINUTE, 2, 3)
    assert world.told() == [("down", 22, {1})]


def test_a_silence_added_while_another_lasts_is_kept_to(world: World) -> None:
    world.silence(20 * MINUTE, 1)
    world.pass_time(15 * MINUTE, 2, 3)
    world.silence(25 * MINUTE, 1)
    world.pass_time(40 * MINUTE, 2, 3)
    assert world.told()[0] == ("down", 41, {1})


# Maintenance until minute 60.


def test_who_falls_silent_through_maintenance_has_its_threshold_to_return(world: World) -> None:
    world.maintain("09:05", "10:00")
    world.pass_time(64 * MINUTE, 2)
    world.pass_time(30 * MINUTE, 1, 2)
    # 3 never returned; 1 did four minutes after the end.
    assert world.told()[0] == ("down", 70, {3})
    assert all(1 not in macs for _, _, macs in world.told())


def test_whose_incident_opens_as_maintenance_begins_has_its_threshold_too(world: World) -> None:
    world.maintain("09:12", "10:00")
    world.pass_time(75 * MINUTE, 2, 3)
    assert world.told()[0] == ("down", 70, {1})


def test_who_was_known_to_be_silent_before_is_told_of_at_the_end_of_maintenance(
    world: World,
) -> None:
    world.maintain("09:13", "10:00")
    world.pass_time(75 * MINUTE, 2, 3)
    assert world.told()[0] == ("down", 60, {1})


def test_a_recovery_inside_maintenance_is_told_at_its_end(world: World) -> None:
    world.maintain("09:15", "10:00")
    world.pass_time(30 * MINUTE, 2, 3)
    world.pass_time(60 * MINUTE, 1, 2, 3)
    assert world.told() == [("down", 13, {1}), ("recovered", 60, {1})]


def test_maintenance_is_recorded_but_not_sent(world: World) -> None:
    world.maintain("09:05", "10:00")
    world.pass_time(4 * MINUTE, 1, 2, 3)
    world.pass_time(30 * MINUTE, 1)
    world.pass_time(40 * MINUTE, 1, 2, 3)
    assert world.told() == []
    assert {state for _, state, _ in world.ledger()} == {"cancelled"}
