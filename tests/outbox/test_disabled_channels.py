"""Messages of disabled and removed channels end, so that they do not delay the watchdog."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select, update

from monitor.analysis import figures
from monitor.channels.interface import Message, SendFailed
from monitor.clock import Clock
from monitor.model import DAY, HOUR, MINUTE
from monitor.outbox import catalogue, claims
from monitor.outbox.channel_source import StoredChannelSource
from monitor.outbox.delivery import Delivery, DeliveryConfig
from monitor.state import channels
from monitor.state.channels import Stored
from monitor.state.database import reading, writing
from monitor.state.tables import channel, suppression
from monitor.vault import Vault
from tests.delivering import FRAME, delivery
from tests.outages import NOW, WAIT, Outages
from tests.outbox.alerting import AlertingRig

VAULT = Vault("k" * 40)
PAGER = Stored("pager", "webhook", {"url": "https://x.example/"}, {}, is_default=True)


@pytest.fixture
def rig(state: Engine) -> AlertingRig:
    rig = AlertingRig(state)
    rig.add_sensor(1)
    return rig


class RemovedDuringSend:
    """A channel that an administrator removes during its send."""

    name = "pager"

    def __init__(self, state: Engine) -> None:
        self.state = state

    def send(self, _message: Message) -> None:
        with writing(self.state) as connection:
            assert catalogue.remove(connection, self.name, NOW + WAIT)
        raise SendFailed("no connection", permanent=False)


def open_outage(state: Engine) -> None:
    with writing(state) as connection:
        channels.add(connection, VAULT, PAGER)
    outages = Outages(state, ["pager"])
    outages.sensors(1)
    outages.down(1)


def test_channel_removed_during_a_send_is_not_failing(state: Engine) -> None:
    open_outage(state)
    assert delivery(state, [RemovedDuringSend(state)]).deliver_once(NOW + WAIT) == 1
    with reading(state) as connection:
        assert figures.read(connection).failing == {}


def test_disabled_channel_has_no_due_messages(state: Engine) -> None:
    open_outage(state)
    with writing(state) as connection:
        channels.save(connection, VAULT, replace(PAGER, enabled=False))
    off = Delivery(
        state, StoredChannelSource(state, VAULT, [], False), Clock(), DeliveryConfig(FRAME)
    )
    for after in (MINUTE, HOUR, DAY):
        off.deliver_once(NOW + after)
        with reading(state) as connection:
            assert claims.oldest_due(connection, NOW + after) is None


def test_messages_of_a_channel_removed_from_the_settings_fail(state: Engine) -> None:
    outages = Outages(state, ["email"])
    outages.sensors(1)
    outages.down(1)
    without = delivery(state, [])
    without.deliver_once(NOW + WAIT)
    assert outages.ledger() == [("down", "pending", None)]
    without.deliver_once(NOW + 6 * MINUTE)
    assert outages.ledger() == [("down", "failed", "no notifier serves this channel")]


def test_route_with_only_disabled_channels_uses_the_default_and_the_ledger_records_it(
    rig: AlertingRig,
) -> None:
    rig.add_channel("pager", "webhook")
    rig.add_route("night", channels=["pager"])
    with writing(rig.engine) as connection:
        connection.execute(update(channel).values(enabled=False))
    rig.down(1, now=NOW)
    rig.deliver(NOW + WAIT)
    assert rig.channels["pager"].reported == []
    assert rig.channels["email"].reported == [("down", {"01"})]
    with reading(rig.engine) as connection:
        rows = connection.execute(select(suppression.c.channel, suppression.c.reason)).all()
    assert [tuple(row) for row in rows] == [("pager", "the channel is disabled")]
