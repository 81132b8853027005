"""Reminders of many: nobody is reminded twice because others had to wait."""

import pytest
from sqlalchemy import Engine

from monitor.channels.interface import SendFailed
from monitor.model import HOUR, MINUTE, SECOND, Held
from monitor.outbox import recipients
from tests.outages import NOW, WAIT
from tests.outbox.test_life import REPEAT, Service


@pytest.fixture
def world(state: Engine) -> Service:
    world = Service(state)
    for mac in (1, 2, 3):
        world.add_sensor(mac)
    return world


def test_the_end_of_a_silence_reminds_nobody_who_was_reminded_meanwhile(world: Service) -> None:
    world.silent(1, 2, now=NOW)
    world.deliver(NOW + WAIT)
    end = NOW + REPEAT + 2 * HOUR
    world.quiet[2] = Held(end, "silence 1 (works)")
    first, second = NOW + WAIT + REPEAT, NOW + WAIT + 2 * REPEAT
    for now in (first, end, end + MINUTE, second):
        world.deliver(now)
    told = world.channels["email"]
    assert told.said[1:] == [("reminder", {"01"}), ("reminder", {"01", "02"})]
    assert [message.time for message in told.got[1:]] == [first, second]


def test_a_mass_of_members_is_reminded_of_in_parts_and_each_of_them_once(
    world: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipients, "LIMIT_OF_TRACKING", 2)
    world.add_channel("pager", "pager", is_default=True)
    world.silent(1, 2, 3, now=NOW)
    world.deliver(NOW + WAIT)
    world.channels["pager"].got.clear()
    world.deliver(NOW + WAIT + REPEAT)
    assert world.channels["pager"].said == [("reminder", {"01", "02"}), ("reminder", {"03"})]


def test_a_reminder_that_waits_for_its_channel_is_not_sent_after_the_end(world: Service) -> None:
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    email = world.channels["email"]
    email.failure = SendFailed("busy", permanent=False)
    reminded = NOW + WAIT + REPEAT
    world.deliver(reminded)
    world.over(1, now=reminded + SECOND)
    email.failure = None
    world.deliver(reminded + HOUR)
    assert [kind for kind, _ in email.said] == ["down", "recovered"]
