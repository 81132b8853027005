"""The life of an incident as its recipients see it: routed, reminded of, escalated, held, over."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from monitor.channels.interface import Message, SendFailed
from monitor.incidents import service
from monitor.incidents.flapping import FlappingRule
from monitor.incidents.hold_policy import holding
from monitor.incidents.machine import Event
from monitor.incidents.service import Alerting, Closing, Opening
from monitor.model import DAY, HOUR, MINUTE, SECOND, Held, Member
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery
from monitor.state import incidents, sensors
from monitor.state.database import reading, writing
from monitor.state.tables import channel, incident, notification, route, sensor, suppression
from tests.counting import counted, recount
from tests.delivering import delivery
from tests.outages import INTERVAL, NOW, WAIT, rows

REPEAT = 4 * HOUR
RULE = FlappingRule(3, HOUR)


@pytest.fixture(autouse=True)
def kept_counts_are_those_of_the_rows(state: Engine) -> Iterator[None]:
    yield
    kept = counted(state)
    recount(state)
    assert kept == counted(state)


class Recorder:
    """A channel that keeps what it is given, or fails as told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.got: list[Message] = []
        self.failure: SendFailed | None = None

    def send(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.got.append(message)

    @property
    def said(self) -> list[tuple[str, set[str]]]:
        """(kind, MAC addresses) of each message."""
        return [
            (message.kind, {each["mac"][-2:] for each in message.data["members"]})
            for message in self.got
        ]


class Service:
    """Sweeps and deliveries by hand, on one state, at a time that the test tells."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.channels = {name: Recorder(name) for name in ("email", "webhook", "pager", "sms")}
        self.budgets: dict[str, int] = {}
        self.alerting = Alerting(("email", "webhook"), WAIT, INTERVAL, RULE, frozenset(["pager"]))
        self.quiet: dict[int, Held] = {}

    def notifier(self) -> Delivery:
        served = [
            ActiveChannel(each, tracks=name == "pager", budget=self.budgets.get(name))
            for name, each in self.channels.items()
        ]
        rules = holding(RULE)

        def hold(
            connection: Any, members: Mapping[int, Member], kind: str, now: int
        ) -> Mapping[int, Held]:
            found = dict(rules(connection, members, kind, now))
            for number, member in members.items():
                if member.mac in self.quiet and self.quiet[member.mac].until > now:
                    found[number] = self.quiet[member.mac]
            return found

        return delivery(
            self.engine,
            served,
            hold=hold,
            remind_after=REPEAT,
            recipients=lambda _: ["email", "webhook"],
        )

    def deliver(self, now: int) -> None:
        self.notifier().deliver_once(now)

    def add_sensor(self, mac: int, site: str | None = "Hall", **values: Any) -> None:
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.configure(connection, mac, version, site=site, live=True, **values)

    def add_route(self, name: str, **values: Any) -> None:
        with writing(self.engine) as connection:
            row = {"position": 1, "matchers": [], "channels": [], "escalate_to": []}
            connection.execute(insert(route).values(name=name, **(row | values)))

    def add_channel(self, name: str, kind: str, **values: Any) -> None:
        with writing(self.engine) as connection:
            row = {"settings": {}, "enabled": True, "is_default": False, "created_at": NOW}
            connection.execute(insert(channel).values(name=name, kind=kind, **(row | values)))

    def silent(self, *macs: int, now: int, fleet_wide: bool = False) -> None:
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            found = [sensors.find(connection, mac) for mac in macs]
            openings = [Opening(row, now - 11 * MINUTE, 10 * MINUTE, True) for row in found if row]
            service.open_all(connection, openings, self.alerting, now, version, fleet_wide)

    def over(self, *macs: int, now: int, event: Event = Event.RECOVER) -> None:
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            earlier = incidents.open_incidents(connection)
            closings = [Closing(earlier[mac], event, now - SECOND) for mac in macs]
            service.close_all(connection, closings, self.alerting, now, version)

    def acknowledge(self, now: int) -> None:
        with writing(self.engine) as connection:
            connection.execute(
                update(incident).where(incident.c.closed_at.is_(None)).values(acknowledged_at=now)
            )

    def why(self) -> list[tuple[str, str, str]]:
        with reading(self.engine) as connection:
            columns = (suppression.c.channel, suppression.c.kind, suppression.c.reason)
            return [tuple(row) for row in connection.execute(select(*columns))]


@pytest.fixture
def world(state: Engine) -> Service:
    world = Service(state)
    for mac in (1, 2, 3):
        world.add_sensor(mac)
    return world


# --- Routes ------------------------------------------------------------------------------------


def test_the_first_route_that_matches_tells_its_channels_and_no_other(world: Service) -> None:
    world.add_channel("sms", "twilio")
    world.add_route("night", matchers=["site=Hall"], channels=["sms"])
    world.add_sensor(9, site="Yard")
    world.silent(1, 9, now=NOW)
    world.deliver(NOW + WAIT)
    assert world.channels["sms"].said == [("down", {"01"})]
    assert world.channels["email"].said == [("down", {"09"})]


def test_sensors_of_one_site_on_two_routes_are_two_matters(world: Service) -> None:
    world.add_channel("sms", "twilio")
    world.add_sensor(4, labels={"severity": "warning"})
    world.add_route("mild", matchers=["severity=warning"], channels=["email"])
    world.silent(1, 4, now=NOW)
    world.deliver(NOW + WAIT)
    assert sorted(world.channels["email"].said) == [("down", {"01"}), ("down", {"04"})]
    assert world.channels["webhook"].said == [("down", {"01"})]


def test_a_route_whose_channels_are_gone_leads_to_the_default(world: Service) -> None:
    world.add_route("lost", channels=["gone"])
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    assert world.channels["email"].said == [("down", {"01"})]


def test_browsers_stand_for_all_that_subscribed(world: Service) -> None:
    world.add_channel("pager", "webpush")
    world.add_channel("sms", "webpush")
    world.add_route("all", channels=["browsers"])
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    assert world.channels["pager"].said == world.channels["sms"].said == [("down", {"01"})]


# --- Escalation and reminders ------------------------------------------------------------------


def test_what_nobody_acknowledges_goes_to_the_second_channel(world: Service) -> None:
    world.add_channel("sms", "twilio")
    world.add_route("all", channels=["email"], escalate_to=["sms"], escalate_after=30 * MINUTE)
    world.silent(1, now=NOW)
    world.silent(2, now=NOW + 20 * MINUTE)
    world.deliver(NOW + 29 * MINUTE)
    assert world.channels["sms"].got == []
    world.deliver(NOW + 30 * MINUTE)
    assert world.channels["sms"].said == [("down", {"01"})]
    assert world.channels["sms"].got[0].subject.startswith("Escalated: ")
    world.deliver(NOW + 50 * MINUTE)
    assert world.channels["sms"].said[1:] == [("down", {"02"})]
    world.over(1, 2, now=NOW + 60 * MINUTE)
    world.deliver(NOW + 65 * MINUTE)
    assert world.channels["sms"].said[2:] == [("recovered", {"01", "02"})]


def test_what_is_acknowledged_is_neither_escalated_nor_reminded_of(world: Service) -> None:
    world.add_channel("sms", "twilio")
    world.add_route("all", channels=["email"], escalate_to=["sms"], escalate_after=30 * MINUTE)
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.acknowledge(NOW + 5 * MINUTE)
    world.deliver(NOW + DAY)
    assert world.channels["sms"].got == []
    assert world.channels["email"].said == [("down", {"01"})]
    world.over(1, now=NOW + DAY)
    world.deliver(NOW + DAY + WAIT)
    assert world.channels["email"].said[1:] == [("recovered", {"01"})]


def test_reminders_come_each_repeat_interval_until_it_is_over(world: Service) -> None:
    world.silent(1, 2, now=NOW)
    world.deliver(NOW + WAIT)
    world.deliver(NOW + WAIT + REPEAT - 1)
    assert len(world.channels["email"].got) == 1
    world.over(2, now=NOW + HOUR)
    world.deliver(NOW + HOUR + WAIT)
    world.deliver(NOW + WAIT + REPEAT)
    world.deliver(NOW + WAIT + 2 * REPEAT)
    world.over(1, now=NOW + 2 * REPEAT + HOUR)
    world.deliver(NOW + 10 * REPEAT)
    assert [kind for kind, _ in world.channels["email"].said] == [
        "down",
        "recovered",
        "reminder",
        "reminder",
        "recovered",
    ]
    assert world.channels["email"].said[2] == ("reminder", {"01"})
    assert {row.state for row in rows(world.engine)} == {"sent", "cancelled"}


def test_a_receiver_that_keeps_account_hears_of_every_end_and_of_all_that_lasts(
    world: Service,
) -> None:
    world.add_channel("pager", "pager")
    world.add_route("all", channels=["pager", "email"])
    world.silent(1, 2, now=NOW)
    world.deliver(NOW + WAIT)
    world.over(1, now=NOW + HOUR, event=Event.PAUSE)
    world.deliver(NOW + HOUR + WAIT)
    world.acknowledge(NOW + 2 * HOUR)
    world.deliver(NOW + WAIT + REPEAT)
    assert world.channels["pager"].said == [
        ("down", {"01", "02"}),
        ("recovered", {"01"}),
        ("reminder", {"02"}),
    ]
    assert "reminder" not in {kind for kind, _ in world.channels["email"].said}
    assert "recovered" not in {kind for kind, _ in world.channels["email"].said}


# --- Flapping ----------------------------------------------------------------------------------


def test_a_sensor_that_comes_and_goes_is_one_notice_and_then_quiet(world: Service) -> None:
    for turn in range(6):
        moment = NOW + turn * 11 * MINUTE
        world.silent(1, now=moment)
        world.deliver(moment + WAIT)
        world.over(1, now=moment + 5 * MINUTE)
        world.deliver(moment + 6 * MINUTE)
    world.deliver(NOW + DAY)
    assert [kind for kind, _ in world.channels["email"].said] == [
        "down",
        "recovered",
        "down",
        "recovered",
        "flapping",
    ]
    assert ("email", "down", "flapping") in world.why()


def test_a_flapping_sensor_that_stays_silent_is_told_of_after_all(world: Service) -> None:
    for turn in range(3):
        world.silent(1, now=NOW + turn * 11 * MINUTE)
        if turn < 2:
            world.over(1, now=NOW + turn * 11 * MINUTE + MINUTE)
    opened = NOW + 22 * MINUTE
    world.deliver(opened + WAIT)
    world.deliver(opened + HOUR - 1)
    assert [kind for kind, _ in world.channels["email"].said] == ["flapping"]
    world.deliver(opened + HOUR)
    world.over(1, now=opened + 2 * HOUR)
    world.deliver(opened + 2 * HOUR + WAIT)
    assert [kind for kind, _ in world.channels["email"].said] == ["flapping", "down", "recovered"]


def test_a_flapping_sensor_never_told_of_before_is_told_of_when_it_stays_silent(
    world: Service,
) -> None:
    for turn in range(3):
        moment = NOW + turn * 11 * MINUTE
        world.silent(1, now=moment)
        world.deliver(moment + WAIT)
        if turn < 2:
            world.over(1, now=moment + 5 * MINUTE)
            world.deliver(moment + 6 * MINUTE)
    world.deliver(NOW + 22 * MINUTE + HOUR)
    assert [kind for kind, _ in world.channels["email"].said][4:] == ["flapping", "down"]


def test_an_earlier_incident_on_another_route_is_told_of_when_it_joins_the_fleet(
    world: Service,
) -> None:
    world.add_sensor(8, site="Yard")
    world.add_route("yard", matchers=["site=Yard"], channels=["webhook"])
    world.silent(8, now=NOW)
    world.silent(1, 2, 3, now=NOW + 10 * SECOND, fleet_wide=True)
    world.deliver(NOW + WAIT)
    assert ("down", {"08"}) in world.channels["webhook"].said


def test_flapping_of_one_does_not_hold_back_its_neighbours(world: Service) -> None:
    for turn in range(3):
        world.silent(1, now=NOW + turn * 11 * MINUTE)
        if turn < 2:
            world.over(1, now=NOW + turn * 11 * MINUTE + MINUTE)
    opened = NOW + 22 * MINUTE
    world.deliver(opened + WAIT)
    world.silent(2, now=opened + 10 * MINUTE)
    world.deliver(opened + 10 * MINUTE + WAIT)
    assert world.channels["email"].said == [("flapping", {"01"}), ("down", {"02"})]
    world.deliver(opened + HOUR)
    assert world.channels["email"].said[2:] == [("down", {"01"})]


# --- Held back ---------------------------------------------------------------------------------


def test_what_is_silenced_is_told_when_that_ends_if_it_lasts(world: Service) -> None:
    world.quiet[1] = Held(NOW + HOUR, "silence")
    world.silent(1, 2, now=NOW)
    world.deliver(NOW + WAIT)
    assert world.channels["email"].said == [("down", {"02"})]
    assert ("email", "down", "silence") in world.why()
    world.deliver(NOW + HOUR)
    assert world.channels["email"].said[1:] == [("down", {"01"})]


def test_what_recovers_while_silenced_is_never_told(world: Service) -> None:
    world.quiet[1] = Held(NOW + HOUR, "silence")
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.over(1, now=NOW + 5 * MINUTE)
    world.deliver(NOW + 2 * HOUR)
    assert world.channels["email"].got == []
    assert {row.state for row in rows(world.engine)} == {"cancelled"}


def test_a_recovery_while_silenced_is_told_when_that_ends(world: Service) -> None:
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.quiet[1] = Held(NOW + HOUR, "silence")
    world.over(1, now=NOW + 10 * MINUTE)
    world.deliver(NOW + 20 * MINUTE)
    assert len(world.channels["email"].got) == 1
    world.deliver(NOW + HOUR)
    assert world.channels["email"].said[1:] == [("recovered", {"01"})]


def test_a_frozen_message_is_not_tried_again_inside_a_silence(world: Service) -> None:
    world.channels["email"].failure = SendFailed("away", permanent=False)
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.channels["email"].failure = None
    world.quiet[1] = Held(NOW + HOUR, "silence")
    world.deliver(NOW + 10 * MINUTE)
    assert world.channels["email"].got == []
    world.deliver(NOW + HOUR)
    assert world.channels["email"].said == [("down", {"01"})]


# --- Budgets, trouble, fleets ------------------------------------------------------------------


def test_a_budget_that_is_used_up_holds_messages_and_the_others_hear_of_it(
    world: Service,
) -> None:
    world.add_channel("sms", "twilio")
    world.add_route("all", channels=["sms"])
    world.budgets["sms"] = 2
    for turn, mac in enumerate((1, 2, 3)):
        world.silent(mac, now=NOW + turn * HOUR)
        world.deliver(NOW + turn * HOUR + WAIT)
    world.deliver(NOW + 3 * HOUR)
    assert len(world.channels["sms"].got) == 2
    assert [message.subject for message in world.channels["email"].got] == [
        "The channel sms has reached its daily message limit"
    ]
    world.deliver(NOW + DAY + WAIT)
    assert world.channels["sms"].said[2:3] == [("down", {"03"})]


def test_a_channel_that_keeps_failing_is_reported_on_the_others_once(world: Service) -> None:
    world.channels["webhook"].failure = SendFailed("answer 503", permanent=False)
    world.silent(1, now=NOW)
    for minute in range(30):
        world.deliver(NOW + WAIT + minute * MINUTE)
    notices = [message for message in world.channels["email"].got if message.kind == "notice"]
    assert [message.subject for message in notices] == ["The channel webhook keeps failing"]
    assert "answer 503" in notices[0].text


def test_a_message_lost_for_good_is_reported_at_once(world: Service) -> None:
    world.channels["webhook"].failure = SendFailed("answer 410", permanent=True)
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.deliver(NOW + WAIT + 10 * SECOND)
    assert [message.kind for message in world.channels["email"].got] == ["down", "notice"]


def test_a_silence_of_the_whole_fleet_takes_in_what_nobody_was_told_of_yet(
    world: Service,
) -> None:
    world.add_sensor(8, site="Yard")
    world.add_sensor(9, site=None)
    world.silent(1, 9, now=NOW)
    world.silent(2, 3, 8, now=NOW + 10 * SECOND, fleet_wide=True)
    world.deliver(NOW + MINUTE)
    assert world.channels["email"].said == [("down", {"01", "02", "03", "08", "09"})]
    assert world.channels["email"].got[0].subject.startswith("Fleet-wide: All 5 sensors silent")


def test_outages_at_many_sites_at_once_are_one_message(world: Service) -> None:
    for mac in range(10, 32):
        world.add_sensor(mac, site=f"Site {mac}")
    world.silent(*range(10, 18), now=NOW)
    world.silent(*range(18, 30), now=NOW + 5 * SECOND)
    world.silent(30, 31, now=NOW + 10 * SECOND)
    world.deliver(NOW + WAIT)
    assert len(world.channels["email"].got) == 1
    assert world.channels["email"].got[0].subject.startswith("22 sensors at 22 sites silent")
    world.over(*range(10, 32), now=NOW + HOUR)
    world.deliver(NOW + HOUR + WAIT)
    assert len(world.channels["email"].got) == 2


def test_a_mass_of_members_reaches_a_receiver_that_keeps_account_whole(world: Service) -> None:
    with writing(world.engine) as connection:
        connection.execute(
            insert(sensor),
            [
                {"mac": mac, "site": "Big", "labels": {}, "live": True, "version": 1}
                for mac in range(1_000, 3_300)
            ],
        )
    world.add_channel("pager", "pager")
    world.add_route("all", channels=["pager"])
    world.silent(*range(1_000, 3_300), now=NOW)
    world.deliver(NOW + WAIT)
    world.deliver(NOW + WAIT + 2 * SECOND)
    world.deliver(NOW + WAIT + 4 * SECOND)
    assert [len(message.data["members"]) for message in world.channels["pager"].got] == [
        1_000,
        1_000,
        300,
    ]


def test_a_channel_whose_recipient_is_gone_is_removed(world: Service) -> None:
    world.add_channel("sms", "webpush", is_default=True)
    world.channels["sms"].failure = SendFailed("answer 410", permanent=True, gone=True)
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    with reading(world.engine) as connection:
        assert connection.execute(select(channel.c.id)).first() is None
        owed = select(notification.c.id).where(
            notification.c.channel == "sms", notification.c.state.in_(("pending", "claimed"))
        )
        assert connection.execute(owed).first() is None
