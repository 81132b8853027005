"""News of flapping when the sensor's outages join those of others."""

from sqlalchemy import Engine

from monitor.model import MINUTE
from tests.outages import NOW, WAIT
from tests.outbox.test_life import Service


def test_news_of_flapping_outlives_that_a_later_outage_is_told_together_with_others(
    state: Engine,
) -> None:
    world = Service(state)
    for mac in range(10, 15):
        world.add_sensor(mac, site=None)
    now = NOW
    for _ in range(3):  # and no notifier runs
        world.silent(10, now=now)
        world.over(10, now=now + 5 * MINUTE)
        now += 10 * MINUTE
    world.silent(10, now=now)
    world.silent(11, 12, 13, 14, now=now + MINUTE)
    world.deliver(now + MINUTE + WAIT)
    assert sorted(world.channels["email"].said) == [
        ("down", {"0b", "0c", "0d", "0e"}),
        ("flapping", {"0a"}),
    ]
