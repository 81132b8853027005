"""From an incident to its messages: routes, escalation, reminders, flapping, silences, limits."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, insert, select

from monitor.channels.interface import SendFailed
from monitor.incidents.machine import Event
from monitor.model import DAY, HOUR, MINUTE, SECOND, Held
from monitor.state.database import reading, writing
from monitor.state.tables import channel, notification, sensor
from tests.counting import counted, recount
from tests.outages import NOW, WAIT, rows
from tests.outbox.alerting import REPEAT, AlertingRig


@pytest.fixture(autouse=True)
def _stored_counts_equal_counted_rows(state: Engine) -> Iterator[None]:
    """Counts stored during the test equal a count of the rows."""
    yield
    stored = counted(state)
    recount(state)
    assert stored == counted(state)


# --- Routes ------------------------------------------------------------------------------------


def test_alert_goes_only_to_the_channels_of_the_first_matching_route(rig: AlertingRig) -> None:
    rig.add_channel("sms", "twilio")
    rig.add_route("night", matchers=["site=Hall"], channels=["sms"])
    rig.add_sensor(9, site="Yard")
    rig.down(1, 9, now=NOW)
    rig.deliver(NOW + WAIT)
    assert rig.channels["sms"].reported == [("down", {"01"})]
    assert rig.channels["email"].reported == [("down", {"09"})]


def test_sensors_of_one_site_on_two_routes_are_two_groups(rig: AlertingRig) -> None:
    rig.add_channel("sms", "twilio")
    rig.add_sensor(4, labels={"severity": "warning"})
    rig.add_route("mild", matchers=["severity=warning"], channels=["email"])
    rig.down(1, 4, now=NOW)
    rig.deliver(NOW + WAIT)
    assert sorted(rig.channels["email"].reported) == [("down", {"01"}), ("down", {"04"})]
    assert rig.channels["webhook"].reported == [("down", {"01"})]


def test_route_whose_channels_do_not_exist_uses_the_default_channels(rig: AlertingRig) -> None:
    rig.add_route("lost", channels=["gone"])
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    assert rig.channels["email"].reported == [("down", {"01"})]


def test_route_to_browsers_reaches_every_subscribed_browser(rig: AlertingRig) -> None:
    rig.add_channel("pager", "webpush")
    rig.add_channel("sms", "webpush")
    rig.add_route("all", channels=["browsers"])
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    assert rig.channels["pager"].reported == rig.channels["sms"].reported == [("down", {"01"})]


# --- Escalation and reminders ------------------------------------------------------------------


def test_incident_not_acknowledged_is_escalated(rig: AlertingRig) -> None:
    rig.add_channel("sms", "twilio")
    rig.add_route("all", channels=["email"], escalate_to=["sms"], escalate_after=30 * MINUTE)
    rig.down(1, now=NOW)
    rig.down(2, now=NOW + 20 * MINUTE)
    rig.deliver(NOW + 29 * MINUTE)
    assert rig.channels["sms"].messages == []
    rig.deliver(NOW + 30 * MINUTE)
    assert rig.channels["sms"].reported == [("down", {"01"})]
    assert rig.channels["sms"].messages[0].subject.startswith("Escalated: ")
    rig.deliver(NOW + 50 * MINUTE)
    assert rig.channels["sms"].reported[1:] == [("down", {"02"})]
    rig.end(1, 2, now=NOW + 60 * MINUTE)
    rig.deliver(NOW + 65 * MINUTE)
    assert rig.channels["sms"].reported[2:] == [("recovered", {"01", "02"})]


def test_acknowledged_incident_is_not_escalated_and_has_no_reminder(rig: AlertingRig) -> None:
    rig.add_channel("sms", "twilio")
    rig.add_route("all", channels=["email"], escalate_to=["sms"], escalate_after=30 * MINUTE)
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.acknowledge(NOW + 5 * MINUTE)
    rig.deliver(NOW + DAY)
    assert rig.channels["sms"].messages == []
    assert rig.channels["email"].reported == [("down", {"01"})]
    rig.end(1, now=NOW + DAY)
    rig.deliver(NOW + DAY + WAIT)
    assert rig.channels["email"].reported[1:] == [("recovered", {"01"})]


def test_reminder_is_sent_each_repeat_interval_until_the_recovery(rig: AlertingRig) -> None:
    rig.down(1, 2, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.deliver(NOW + WAIT + REPEAT - 1)
    assert len(rig.channels["email"].messages) == 1
    rig.end(2, now=NOW + HOUR)
    rig.deliver(NOW + HOUR + WAIT)
    rig.deliver(NOW + WAIT + REPEAT)
    rig.deliver(NOW + WAIT + 2 * REPEAT)
    rig.end(1, now=NOW + 2 * REPEAT + HOUR)
    rig.deliver(NOW + 10 * REPEAT)
    assert [kind for kind, _ in rig.channels["email"].reported] == [
        "down",
        "recovered",
        "reminder",
        "reminder",
        "recovered",
    ]
    assert rig.channels["email"].reported[2] == ("reminder", {"01"})
    assert {row.state for row in rows(rig.engine)} == {"sent", "cancelled"}


def test_tracking_receiver_receives_every_closed_incident_and_reminders_of_acknowledged_ones(
    rig: AlertingRig,
) -> None:
    rig.add_channel("pager", "pager")
    rig.add_route("all", channels=["pager", "email"])
    rig.down(1, 2, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.end(1, now=NOW + HOUR, event=Event.PAUSE)
    rig.deliver(NOW + HOUR + WAIT)
    rig.acknowledge(NOW + 2 * HOUR)
    rig.deliver(NOW + WAIT + REPEAT)
    assert rig.channels["pager"].reported == [
        ("down", {"01", "02"}),
        ("recovered", {"01"}),
        ("reminder", {"02"}),
    ]
    assert "reminder" not in {kind for kind, _ in rig.channels["email"].reported}
    assert "recovered" not in {kind for kind, _ in rig.channels["email"].reported}


# --- Flapping ----------------------------------------------------------------------------------


def test_flapping_sensor_causes_one_flapping_message_and_no_more(rig: AlertingRig) -> None:
    for turn in range(6):
        moment = NOW + turn * 11 * MINUTE
        rig.down(1, now=moment)
        rig.deliver(moment + WAIT)
        rig.end(1, now=moment + 5 * MINUTE)
        rig.deliver(moment + 6 * MINUTE)
    rig.deliver(NOW + DAY)
    assert [kind for kind, _ in rig.channels["email"].reported] == [
        "down",
        "recovered",
        "down",
        "recovered",
        "flapping",
    ]
    assert ("email", "down", "flapping") in rig.suppressions()


def test_flapping_sensor_that_stays_silent_is_reported_down(rig: AlertingRig) -> None:
    for turn in range(3):
        rig.down(1, now=NOW + turn * 11 * MINUTE)
        if turn < 2:
            rig.end(1, now=NOW + turn * 11 * MINUTE + MINUTE)
    opened = NOW + 22 * MINUTE
    rig.deliver(opened + WAIT)
    rig.deliver(opened + HOUR - 1)
    assert [kind for kind, _ in rig.channels["email"].reported] == ["flapping"]
    rig.deliver(opened + HOUR)
    rig.end(1, now=opened + 2 * HOUR)
    rig.deliver(opened + 2 * HOUR + WAIT)
    assert [kind for kind, _ in rig.channels["email"].reported] == ["flapping", "down", "recovered"]


def test_flapping_sensor_reported_down_before_is_reported_down_again_when_it_stays_silent(
    rig: AlertingRig,
) -> None:
    for turn in range(3):
        moment = NOW + turn * 11 * MINUTE
        rig.down(1, now=moment)
        rig.deliver(moment + WAIT)
        if turn < 2:
            rig.end(1, now=moment + 5 * MINUTE)
            rig.deliver(moment + 6 * MINUTE)
    rig.deliver(NOW + 22 * MINUTE + HOUR)
    assert [kind for kind, _ in rig.channels["email"].reported][4:] == ["flapping", "down"]


def test_incident_on_another_route_is_reported_when_it_joins_a_fleet_wide_group(
    rig: AlertingRig,
) -> None:
    rig.add_sensor(8, site="Yard")
    rig.add_route("yard", matchers=["site=Yard"], channels=["webhook"])
    rig.down(8, now=NOW)
    rig.down(1, 2, 3, now=NOW + 10 * SECOND, fleet_wide=True)
    rig.deliver(NOW + WAIT)
    assert ("down", {"08"}) in rig.channels["webhook"].reported


def test_flapping_sensor_does_not_hold_messages_about_its_neighbours(rig: AlertingRig) -> None:
    for turn in range(3):
        rig.down(1, now=NOW + turn * 11 * MINUTE)
        if turn < 2:
            rig.end(1, now=NOW + turn * 11 * MINUTE + MINUTE)
    opened = NOW + 22 * MINUTE
    rig.deliver(opened + WAIT)
    rig.down(2, now=opened + 10 * MINUTE)
    rig.deliver(opened + 10 * MINUTE + WAIT)
    assert rig.channels["email"].reported == [("flapping", {"01"}), ("down", {"02"})]
    rig.deliver(opened + HOUR)
    assert rig.channels["email"].reported[2:] == [("down", {"01"})]


# --- Held back ---------------------------------------------------------------------------------


def test_incident_still_open_when_its_silence_ends_is_reported_then(rig: AlertingRig) -> None:
    rig.held[1] = Held(NOW + HOUR, "silence")
    rig.down(1, 2, now=NOW)
    rig.deliver(NOW + WAIT)
    assert rig.channels["email"].reported == [("down", {"02"})]
    assert ("email", "down", "silence") in rig.suppressions()
    rig.deliver(NOW + HOUR)
    assert rig.channels["email"].reported[1:] == [("down", {"01"})]


def test_incident_that_recovers_during_a_silence_is_not_reported(rig: AlertingRig) -> None:
    rig.held[1] = Held(NOW + HOUR, "silence")
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.end(1, now=NOW + 5 * MINUTE)
    rig.deliver(NOW + 2 * HOUR)
    assert rig.channels["email"].messages == []
    assert {row.state for row in rows(rig.engine)} == {"cancelled"}


def test_recovery_during_a_silence_is_reported_when_the_silence_ends(rig: AlertingRig) -> None:
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.held[1] = Held(NOW + HOUR, "silence")
    rig.end(1, now=NOW + 10 * MINUTE)
    rig.deliver(NOW + 20 * MINUTE)
    assert len(rig.channels["email"].messages) == 1
    rig.deliver(NOW + HOUR)
    assert rig.channels["email"].reported[1:] == [("recovered", {"01"})]


def test_frozen_message_is_not_tried_again_during_a_silence(rig: AlertingRig) -> None:
    rig.channels["email"].failure = SendFailed("away", permanent=False)
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.channels["email"].failure = None
    rig.held[1] = Held(NOW + HOUR, "silence")
    rig.deliver(NOW + 10 * MINUTE)
    assert rig.channels["email"].messages == []
    rig.deliver(NOW + HOUR)
    assert rig.channels["email"].reported == [("down", {"01"})]


# --- Budgets, trouble, fleets ------------------------------------------------------------------


def test_daily_message_limit_holds_messages_and_is_reported_on_other_channels(
    rig: AlertingRig,
) -> None:
    rig.add_channel("sms", "twilio")
    rig.add_route("all", channels=["sms"])
    rig.budgets["sms"] = 2
    for turn, mac in enumerate((1, 2, 3)):
        rig.down(mac, now=NOW + turn * HOUR)
        rig.deliver(NOW + turn * HOUR + WAIT)
    rig.deliver(NOW + 3 * HOUR)
    assert len(rig.channels["sms"].messages) == 2
    assert [message.subject for message in rig.channels["email"].messages] == [
        "The channel sms has reached its daily message limit"
    ]
    rig.deliver(NOW + DAY + WAIT)
    assert rig.channels["sms"].reported[2:3] == [("down", {"03"})]


def test_failing_channel_is_reported_once_on_the_other_channels(rig: AlertingRig) -> None:
    rig.channels["webhook"].failure = SendFailed("answer 503", permanent=False)
    rig.down(1, now=NOW)
    for minute in range(30):
        rig.deliver(NOW + WAIT + minute * MINUTE)
    notices = [message for message in rig.channels["email"].messages if message.kind == "notice"]
    assert [message.subject for message in notices] == ["The channel webhook keeps failing"]
    assert "answer 503" in notices[0].text


def test_permanently_failed_message_is_reported_at_once(rig: AlertingRig) -> None:
    rig.channels["webhook"].failure = SendFailed("answer 410", permanent=True)
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.deliver(NOW + WAIT + 10 * SECOND)
    assert [message.kind for message in rig.channels["email"].messages] == ["down", "notice"]


def test_fleet_wide_group_includes_incidents_that_were_not_reported_yet(
    rig: AlertingRig,
) -> None:
    rig.add_sensor(8, site="Yard")
    rig.add_sensor(9, site=None)
    rig.down(1, 9, now=NOW)
    rig.down(2, 3, 8, now=NOW + 10 * SECOND, fleet_wide=True)
    rig.deliver(NOW + MINUTE)
    assert rig.channels["email"].reported == [("down", {"01", "02", "03", "08", "09"})]
    assert rig.channels["email"].messages[0].subject.startswith("Fleet-wide: All 5 sensors silent")


def test_outages_at_many_sites_at_once_are_one_message(rig: AlertingRig) -> None:
    for mac in range(10, 32):
        rig.add_sensor(mac, site=f"Site {mac}")
    rig.down(*range(10, 18), now=NOW)
    rig.down(*range(18, 30), now=NOW + 5 * SECOND)
    rig.down(30, 31, now=NOW + 10 * SECOND)
    rig.deliver(NOW + WAIT)
    assert len(rig.channels["email"].messages) == 1
    assert rig.channels["email"].messages[0].subject.startswith("22 sensors at 22 sites silent")
    rig.end(*range(10, 32), now=NOW + HOUR)
    rig.deliver(NOW + HOUR + WAIT)
    assert len(rig.channels["email"].messages) == 2


def test_message_to_a_tracking_receiver_is_split_at_the_limit(rig: AlertingRig) -> None:
    with writing(rig.engine) as connection:
        connection.execute(
            insert(sensor),
            [
                {"mac": mac, "site": "Big", "labels": {}, "live": True, "version": 1}
                for mac in range(1_000, 3_300)
            ],
        )
    rig.add_channel("pager", "pager")
    rig.add_route("all", channels=["pager"])
    rig.down(*range(1_000, 3_300), now=NOW)
    rig.deliver(NOW + WAIT)
    rig.deliver(NOW + WAIT + 2 * SECOND)
    rig.deliver(NOW + WAIT + 4 * SECOND)
    assert [len(message.data["members"]) for message in rig.channels["pager"].messages] == [
        1_000,
        1_000,
        300,
    ]


def test_browser_that_has_unsubscribed_is_removed(rig: AlertingRig) -> None:
    rig.add_channel("sms", "webpush", is_default=True)
    rig.channels["sms"].failure = SendFailed("answer 410", permanent=True, gone=True)
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    with reading(rig.engine) as connection:
        assert connection.execute(select(channel.c.id)).first() is None
        unfinished = select(notification.c.id).where(
            notification.c.channel == "sms", notification.c.state.in_(("pending", "claimed"))
        )
        assert connection.execute(unfinished).first() is None
