"""What the ledger says of incidents that went through the service and delivery."""

import pytest
from sqlalchemy import Engine

from monitor.channels.interface import SendFailed
from monitor.incidents.machine import Event
from monitor.incidents.timeline import build_timeline
from monitor.model import HOUR, MINUTE, SECOND, Held
from monitor.state import ledger
from monitor.state.database import reading
from tests.outages import NOW, WAIT
from tests.outbox.test_life import Service


@pytest.fixture
def world(state: Engine) -> Service:
    world = Service(state)
    for mac in (1, 2):
        world.add_sensor(mac)
    return world


def told(world: Service, now: int, channel: str | None = "email", mac: int = 1) -> list[str]:
    """Line by line, of the sensor's newest incident."""
    with reading(world.engine) as connection:
        (facts,) = ledger.facts(connection, ledger.cases(connection, 1, mac=mac))
    return [entry.text for entry in build_timeline(facts, now) if entry.channel == channel]


def test_from_the_first_try_to_the_recovery(world: Service) -> None:
    world.silent(1, now=NOW)
    assert told(world, NOW) == ["the alert will be sent"]
    world.channels["email"].failure = SendFailed("451 try later", permanent=False)
    world.deliver(NOW + WAIT)
    assert told(world, NOW + WAIT)[1:] == [
        "the alert was not sent and will be tried again (attempt 1): 451 try later",
        "the alert will be tried again",
    ]
    world.channels["email"].failure = None
    world.deliver(NOW + 5 * MINUTE)
    world.over(1, now=NOW + 10 * MINUTE)
    world.deliver(NOW + 15 * MINUTE)
    lines = told(world, NOW + HOUR)
    assert lines[0].startswith("the alert was written: ")
    assert lines[2] == "the alert was sent (attempt 2)"
    assert lines[3].startswith("the recovery message was written: Recovered")
    assert lines[4:] == ["the recovery message was sent (attempt 1)"]


def test_recovered_before_anybody_was_told(world: Service) -> None:
    world.silent(1, now=NOW)
    world.over(1, now=NOW + 10 * SECOND)
    world.deliver(NOW + HOUR)
    for channel in ("email", "webhook"):
        assert told(world, NOW + HOUR, channel) == [
            "the alert was not sent: recovered first",
            "the recovery message was not sent: no alert was sent",
        ]


def test_one_that_left_before_the_message_about_its_group(world: Service) -> None:
    world.silent(1, 2, now=NOW)
    world.over(1, now=NOW + 10 * SECOND, event=Event.PAUSE)
    world.deliver(NOW + WAIT)
    assert told(world, NOW + HOUR) == ["the alert was not sent: the sensor was paused first"]
    assert told(world, NOW + HOUR, mac=2)[1] == "the alert was sent (attempt 1)"


def test_acknowledged_before_it_was_sent(world: Service) -> None:
    world.silent(1, now=NOW)
    world.acknowledge(NOW + SECOND)
    world.deliver(NOW + HOUR)
    assert told(world, NOW + HOUR) == [
        "the alert was not sent: the incident was acknowledged first"
    ]


def test_held_back_and_told_afterwards(world: Service) -> None:
    world.quiet[1] = Held(NOW + HOUR, "silence 3 (works)")
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    held = "the alert was held until 2026-11-23 02:02:00 UTC: silence 3 (works)"
    assert told(world, NOW + MINUTE) == [held]
    world.deliver(NOW + HOUR)
    lines = told(world, NOW + HOUR)
    assert lines[0] == held
    assert lines[2] == "the alert was sent (attempt 1)"


def test_recovered_while_held_back(world: Service) -> None:
    world.quiet[1] = Held(NOW + HOUR, "silence 3 (works)")
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.over(1, now=NOW + 10 * MINUTE)
    world.deliver(NOW + 2 * HOUR)
    lines = told(world, NOW + 2 * HOUR)
    assert lines[0].startswith("the alert was held until")
    assert lines[1:] == [
        "the alert was not sent: recovered first",
        "the recovery message was not sent: no alert was sent",
    ]


def test_a_used_up_budget(world: Service) -> None:
    world.budgets["email"] = 1
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.over(1, now=NOW + 10 * MINUTE)
    world.deliver(NOW + HOUR)
    assert told(world, NOW + HOUR)[-1] == (
        "the recovery message is held: daily message limit reached (1)"
    )


def test_given_up_for_good(world: Service) -> None:
    world.channels["email"].failure = SendFailed("550 no such mailbox", permanent=True)
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    world.over(1, now=NOW + 10 * MINUTE)
    world.deliver(NOW + HOUR)
    assert told(world, NOW + HOUR)[1:] == [
        "the alert could not be sent (attempt 1): 550 no such mailbox",
        "the recovery message was not sent: the alert was never delivered",
    ]
