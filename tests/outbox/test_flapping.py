"""Flapping of a sensor whose next outage joins a group with other sensors."""

from sqlalchemy import Engine

from monitor.model import MINUTE
from tests.outages import NOW, WAIT
from tests.outbox.alerting import AlertingRig


def test_flapping_is_reported_even_if_a_later_outage_joins_another_group(
    state: Engine,
) -> None:
    rig = AlertingRig(state)
    for mac in range(10, 15):
        rig.add_sensor(mac, site=None)
    now = NOW
    for _ in range(3):  # without a notifier
        rig.down(10, now=now)
        rig.end(10, now=now + 5 * MINUTE)
        now += 10 * MINUTE
    rig.down(10, now=now)
    rig.down(11, 12, 13, 14, now=now + MINUTE)
    rig.deliver(now + MINUTE + WAIT)
    assert sorted(rig.channels["email"].reported) == [
        ("down", {"0b", "0c", "0d", "0e"}),
        ("flapping", {"0a"}),
    ]
