"""Channels that are switched off or gone hold up neither the watchdog nor anything else."""

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
from tests.outbox.test_life import Service

VAULT = Vault("k" * 40)
PAGER = Stored("pager", "webhook", {"url": "https://x.example/"}, {}, is_default=True)


@pytest.fixture
def world(state: Engine) -> Service:
    world = Service(state)
    world.add_sensor(1)
    return world


class Pager:
    """A channel during whose send an administrator acts."""

    name = "pager"

    def __init__(self, state: Engine) -> None:
        self.state = state

    def send(self, _message: Message) -> None:
        with writing(self.state) as connection:
            assert catalogue.remove(connection, self.name, NOW + WAIT)
        raise SendFailed("no connection", permanent=False)


def outage(state: Engine) -> None:
    with writing(state) as connection:
        channels.add(connection, VAULT, PAGER)
    outages = Outages(state, ["pager"])
    outages.sensors(1)
    outages.down(1)


def test_a_channel_removed_during_a_send_is_not_failing(state: Engine) -> None:
    outage(state)
    assert delivery(state, [Pager(state)]).deliver_once(NOW + WAIT) == 1
    with reading(state) as connection:
        assert figures.read(connection).failing == {}


def test_nothing_is_due_on_a_channel_that_was_switched_off(state: Engine) -> None:
    outage(state)
    with writing(state) as connection:
        channels.save(connection, VAULT, replace(PAGER, enabled=False))
    off = Delivery(
        state, StoredChannelSource(state, VAULT, [], False), Clock(), DeliveryConfig(FRAME)
    )
    for after in (MINUTE, HOUR, DAY):
        off.deliver_once(NOW + after)
        with reading(state) as connection:
            assert claims.oldest_due(connection, NOW + after) is None


def test_nothing_stays_due_on_a_channel_taken_out_of_the_settings(state: Engine) -> None:
    outages = Outages(state, ["email"])
    outages.sensors(1)
    outages.down(1)
    without = delivery(state, [])
    without.deliver_once(NOW + WAIT)
    assert outages.ledger() == [("down", "pending", None)]
    without.deliver_once(NOW + 6 * MINUTE)
    assert outages.ledger() == [("down", "failed", "no notifier serves this channel")]


def test_a_route_to_a_channel_that_is_switched_off_leads_to_the_default_and_the_ledger_has_it(
    world: Service,
) -> None:
    world.add_channel("pager", "webhook")
    world.add_route("night", channels=["pager"])
    with writing(world.engine) as connection:
        connection.execute(update(channel).values(enabled=False))
    world.silent(1, now=NOW)
    world.deliver(NOW + WAIT)
    assert world.channels["pager"].said == []
    assert world.channels["email"].said == [("down", {"01"})]
    with reading(world.engine) as connection:
        rows = connection.execute(select(suppression.c.channel, suppression.c.reason)).all()
    assert [tuple(row) for row in rows] == [("pager", "the channel is disabled")]
