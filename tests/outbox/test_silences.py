"""From the last heartbeat to the message, with silences and maintenance."""

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


class RecordingChannel:
    """A channel that keeps its messages."""

    name = "email"

    def __init__(self) -> None:
        self.received: list[Message] = []

    def send(self, message: Message) -> None:
        self.received.append(message)


class Fleet:
    """Three sensors in one hall. Each minute has a sweep and a delivery."""

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
        self.channel = RecordingChannel()
        self.notifier = delivery(state, [self.channel], hold=holding(USUAL), remind_after=REPEAT)
        with writing(state) as connection:
            for mac in (1, 2, 3):
                version = sensors.next_version(connection)
                sensors.configure(connection, mac, version, site="Hall")
        self.pass_time(MINUTE, 1, 2, 3)

    def pass_time(self, duration: int, *reporting: int) -> None:
        end = self.now + duration
        while self.now < end:
            self.now += MINUTE
            self.store.append([Heartbeat(mac, self.now, self.now) for mac in reporting])
            self.store.announce("here", self.now, [Seen(mac, self.now, True) for mac in reporting])
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
        """Schedule daily maintenance, in local time of Berlin."""
        maintenance.schedule(
            self.engine,
            *("bo", "paint", ["site=Hall"], "Europe/Berlin"),
            *(f"2027-01-15T{start}", f"2027-01-15T{stop}", "FREQ=DAILY", self.now),
        )

    def messages(self) -> list[tuple[str, int, set[int]]]:
        """(kind, minutes since the start, MAC addresses) of each message."""
        return [
            (
                message.kind,
                (message.time - START) // MINUTE,
                {int(each["mac"].replace(":", ""), 16) for each in message.data["members"]},
            )
            for message in self.channel.received
        ]

    def ledger(self) -> list[tuple[str, str, str | None]]:
        return [(row.kind, row.state, row.outcome) for row in rows(self.engine)]


@pytest.fixture
def fleet(state: Engine, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(state, tmp_path)
    yield fleet
    fleet.store.close()


# Each test starts with one minute in which all three sensors report. Then sensor 1 is silent: its
# incident opens in minute 12, and its message is due in minute 13.


def test_without_a_silence_the_alert_is_sent_in_minute_13(fleet: Fleet) -> None:
    fleet.pass_time(15 * MINUTE, 2, 3)
    assert fleet.messages() == [("down", 13, {1})]


@pytest.mark.parametrize("begins_after", [0, 11])
def test_sensor_still_silent_when_its_silence_ends_is_reported_then(
    fleet: Fleet, begins_after: int
) -> None:
    fleet.pass_time(begins_after * MINUTE, 2, 3)
    fleet.silence((40 - begins_after) * MINUTE, 1)
    fleet.pass_time(50 * MINUTE, 2, 3)
    assert fleet.messages()[0] == ("down", 41, {1})


def test_sensor_that_recovers_during_a_silence_is_not_reported(fleet: Fleet) -> None:
    fleet.silence(40 * MINUTE, 1)
    fleet.pass_time(20 * MINUTE, 2, 3)
    assert [state for _, state, _ in fleet.ledger()] == ["pending"]
    fleet.pass_time(60 * MINUTE, 1, 2, 3)
    assert fleet.messages() == []
    assert ("down", "cancelled", "recovered first") in fleet.ledger()
    assert ("recovered", "cancelled", "no alert was sent") in fleet.ledger()


def test_recovery_during_a_silence_is_reported_at_its_end_if_the_alert_was_sent(
    fleet: Fleet,
) -> None:
    fleet.pass_time(14 * MINUTE, 2, 3)
    fleet.silence(40 * MINUTE, 1)
    fleet.pass_time(10 * MINUTE, 2, 3)
    fleet.pass_time(60 * MINUTE, 1, 2, 3)
    assert fleet.messages() == [("down", 13, {1}), ("recovered", 55, {1})]


def test_no_reminders_during_a_silence(fleet: Fleet) -> None:
    fleet.pass_time(14 * MINUTE, 2, 3)
    fleet.silence(60 * MINUTE, 1)
    fleet.pass_time(80 * MINUTE, 2, 3)
    assert fleet.messages() == [("down", 13, {1}), ("reminder", 75, {1}), ("reminder", 95, {1})]


def test_message_about_neighbours_leaves_out_a_silenced_sensor(fleet: Fleet) -> None:
    fleet.silence(40 * MINUTE, 1)
    fleet.pass_time(50 * MINUTE, 3)
    down = [(at, macs) for kind, at, macs in fleet.messages() if kind == "down"]
    assert down == [(13, {2}), (41, {1})]
    assert all(1 not in macs for _, at, macs in fleet.messages() if at < 41)


def test_ending_a_silence_early_sends_its_messages_at_once(fleet: Fleet) -> None:
    number = fleet.silence(10 * HOUR, 1)
    fleet.pass_time(20 * MINUTE, 2, 3)
    assert fleet.messages() == []
    fleet.end_silence(number)
    fleet.pass_time(MINUTE, 2, 3)
    assert fleet.messages() == [("down", 22, {1})]


def test_silence_added_during_another_holds_messages_until_its_end(fleet: Fleet) -> None:
    fleet.silence(20 * MINUTE, 1)
    fleet.pass_time(15 * MINUTE, 2, 3)
    fleet.silence(25 * MINUTE, 1)
    fleet.pass_time(40 * MINUTE, 2, 3)
    assert fleet.messages()[0] == ("down", 41, {1})


# In these tests, maintenance ends in minute 60.


def test_sensor_silent_because_of_maintenance_has_its_threshold_after_the_end(fleet: Fleet) -> None:
    fleet.maintain("09:05", "10:00")
    fleet.pass_time(64 * MINUTE, 2)
    fleet.pass_time(30 * MINUTE, 1, 2)
    # Sensor 3 stays silent. Sensor 1 recovers four minutes after the end.
    assert fleet.messages()[0] == ("down", 70, {3})
    assert all(1 not in macs for _, _, macs in fleet.messages())


def test_incident_opened_at_the_start_of_maintenance_waits_a_threshold_after_the_end(
    fleet: Fleet,
) -> None:
    fleet.maintain("09:12", "10:00")
    fleet.pass_time(75 * MINUTE, 2, 3)
    assert fleet.messages()[0] == ("down", 70, {1})


def test_incident_opened_before_maintenance_is_reported_at_its_end(
    fleet: Fleet,
) -> None:
    fleet.maintain("09:13", "10:00")
    fleet.pass_time(75 * MINUTE, 2, 3)
    assert fleet.messages()[0] == ("down", 60, {1})


def test_recovery_during_maintenance_is_reported_at_its_end(fleet: Fleet) -> None:
    fleet.maintain("09:15", "10:00")
    fleet.pass_time(30 * MINUTE, 2, 3)
    fleet.pass_time(60 * MINUTE, 1, 2, 3)
    assert fleet.messages() == [("down", 13, {1}), ("recovered", 60, {1})]


def test_outage_during_maintenance_is_recorded_but_not_sent(fleet: Fleet) -> None:
    fleet.maintain("09:05", "10:00")
    fleet.pass_time(4 * MINUTE, 1, 2, 3)
    fleet.pass_time(30 * MINUTE, 1)
    fleet.pass_time(40 * MINUTE, 1, 2, 3)
    assert fleet.messages() == []
    assert {state for _, state, _ in fleet.ledger()} == {"cancelled"}
