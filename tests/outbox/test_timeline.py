"""The timelines of incidents after their messages were delivered."""

import pytest
from sqlalchemy import Engine

from monitor.channels.interface import SendFailed
from monitor.incidents.machine import Event
from monitor.incidents.timeline import build_timeline
from monitor.model import HOUR, MINUTE, SECOND, Held
from monitor.state import ledger
from monitor.state.database import reading
from tests.outages import NOW, WAIT
from tests.outbox.alerting import AlertingRig


@pytest.fixture
def rig(state: Engine) -> AlertingRig:
    rig = AlertingRig(state)
    for mac in (1, 2):
        rig.add_sensor(mac)
    return rig


def timeline(rig: AlertingRig, now: int, channel: str | None = "email", mac: int = 1) -> list[str]:
    """The texts about one channel in the timeline of the sensor's newest incident."""
    with reading(rig.engine) as connection:
        (facts,) = ledger.facts(connection, ledger.cases(connection, 1, mac=mac))
    return [entry.text for entry in build_timeline(facts, now) if entry.channel == channel]


def test_retry_and_recovery(rig: AlertingRig) -> None:
    rig.down(1, now=NOW)
    assert timeline(rig, NOW) == ["the alert will be sent"]
    rig.channels["email"].failure = SendFailed("451 try later", permanent=False)
    rig.deliver(NOW + WAIT)
    assert timeline(rig, NOW + WAIT)[1:] == [
        "the alert was not sent and will be tried again (attempt 1): 451 try later",
        "the alert will be tried again",
    ]
    rig.channels["email"].failure = None
    rig.deliver(NOW + 5 * MINUTE)
    rig.end(1, now=NOW + 10 * MINUTE)
    rig.deliver(NOW + 15 * MINUTE)
    lines = timeline(rig, NOW + HOUR)
    assert lines[0].startswith("the alert was written: ")
    assert lines[2] == "the alert was sent (attempt 2)"
    assert lines[3].startswith("the recovery message was written: Recovered")
    assert lines[4:] == ["the recovery message was sent (attempt 1)"]


def test_recovery_before_the_alert_was_sent(rig: AlertingRig) -> None:
    rig.down(1, now=NOW)
    rig.end(1, now=NOW + 10 * SECOND)
    rig.deliver(NOW + HOUR)
    for channel in ("email", "webhook"):
        assert timeline(rig, NOW + HOUR, channel) == [
            "the alert was not sent: recovered first",
            "the recovery message was not sent: no alert was sent",
        ]


def test_sensor_paused_before_the_message_of_its_group_was_sent(rig: AlertingRig) -> None:
    rig.down(1, 2, now=NOW)
    rig.end(1, now=NOW + 10 * SECOND, event=Event.PAUSE)
    rig.deliver(NOW + WAIT)
    assert timeline(rig, NOW + HOUR) == ["the alert was not sent: the sensor was paused first"]
    assert timeline(rig, NOW + HOUR, mac=2)[1] == "the alert was sent (attempt 1)"


def test_acknowledgement_before_the_alert_was_sent(rig: AlertingRig) -> None:
    rig.down(1, now=NOW)
    rig.acknowledge(NOW + SECOND)
    rig.deliver(NOW + HOUR)
    assert timeline(rig, NOW + HOUR) == [
        "the alert was not sent: the incident was acknowledged first"
    ]


def test_alert_is_held_and_sent_afterwards(rig: AlertingRig) -> None:
    rig.held[1] = Held(NOW + HOUR, "silence 3 (works)")
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    held = "the alert was held until 2026-11-23 02:02:00 UTC: silence 3 (works)"
    assert timeline(rig, NOW + MINUTE) == [held]
    rig.deliver(NOW + HOUR)
    lines = timeline(rig, NOW + HOUR)
    assert lines[0] == held
    assert lines[2] == "the alert was sent (attempt 1)"


def test_recovery_while_the_alert_is_held(rig: AlertingRig) -> None:
    rig.held[1] = Held(NOW + HOUR, "silence 3 (works)")
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.end(1, now=NOW + 10 * MINUTE)
    rig.deliver(NOW + 2 * HOUR)
    lines = timeline(rig, NOW + 2 * HOUR)
    assert lines[0].startswith("the alert was held until")
    assert lines[1:] == [
        "the alert was not sent: recovered first",
        "the recovery message was not sent: no alert was sent",
    ]


def test_daily_message_limit_reached(rig: AlertingRig) -> None:
    rig.budgets["email"] = 1
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.end(1, now=NOW + 10 * MINUTE)
    rig.deliver(NOW + HOUR)
    assert timeline(rig, NOW + HOUR)[-1] == (
        "the recovery message is held: daily message limit reached (1)"
    )


def test_permanent_failure(rig: AlertingRig) -> None:
    rig.channels["email"].failure = SendFailed("550 no such mailbox", permanent=True)
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    rig.end(1, now=NOW + 10 * MINUTE)
    rig.deliver(NOW + HOUR)
    assert timeline(rig, NOW + HOUR)[1:] == [
        "the alert could not be sent (attempt 1): 550 no such mailbox",
        "the recovery message was not sent: the alert was never delivered",
    ]
