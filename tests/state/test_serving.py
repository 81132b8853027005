"""Messages to channels that were removed or switched off, and the health of those channels."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from monitor.model import MINUTE
from monitor.outbox import catalogue, served_channels
from monitor.state import channels, health
from monitor.state.channels import Stored
from monitor.state.database import reading, writing
from monitor.vault import Vault
from tests.outages import NOW, Outages

VAULT = Vault("k" * 40)
PAGER = Stored("pager", "webhook", {"url": "https://x.example/"}, {}, is_default=True)
LATER = NOW + 5 * MINUTE


@pytest.fixture
def outages(state: Engine) -> Outages:
    """One incident, of which the pager is to be notified."""
    with writing(state) as connection:
        channels.add(connection, VAULT, PAGER)
    outages = Outages(state, ["pager"])
    outages.sensors(1)
    outages.down(1)
    return outages


def remove(state: Engine) -> None:
    with writing(state) as connection:
        assert channels.remove(connection, "pager")


def test_switching_a_channel_off_cancels_its_pending_messages(
    state: Engine, outages: Outages
) -> None:
    served_channels.record(state, {"pager": ()}, NOW)
    with writing(state) as connection:
        health.record_failure(connection, "pager", "no connection", NOW)
        catalogue.save(connection, VAULT, PAGER, replace(PAGER, enabled=False), NOW)
        assert health.of_all(connection)["pager"].failing_since is None
    assert outages.ledger() == [("down", "cancelled", "the channel is disabled")]


def test_messages_enqueued_for_a_channel_switched_off_are_cancelled(
    state: Engine, outages: Outages
) -> None:
    assert served_channels.cancel_disabled(state, NOW) == 0
    with writing(state) as connection:
        channels.save(connection, VAULT, replace(PAGER, enabled=False))
    assert served_channels.cancel_disabled(state, NOW) == 1
    assert outages.ledger() == [("down", "cancelled", "the channel is disabled")]


def test_messages_fail_when_no_notifier_serves_their_channel(
    state: Engine, outages: Outages
) -> None:
    assert served_channels.fail_unserved(state, LATER, LATER) == 0  # a channel stored in the state
    remove(state)
    served_channels.record(state, {"pager": ()}, NOW + 1)
    assert served_channels.fail_unserved(state, NOW, NOW + 5 * MINUTE) == 0  # enqueued too recently
    assert served_channels.fail_unserved(state, NOW + 1, LATER) == 1
    assert outages.ledger() == [("down", "failed", "no notifier serves this channel")]
    with reading(state) as connection:
        assert health.of_all(connection) == {}


def test_messages_stay_while_any_notifier_serves_their_channel(
    state: Engine, outages: Outages
) -> None:
    remove(state)
    served_channels.record(state, {"pager": ()}, NOW + 2 * MINUTE)
    assert served_channels.fail_unserved(state, NOW + MINUTE, LATER) == 0
    assert outages.ledger() == [("down", "pending", None)]


def test_send_that_ends_after_its_channel_was_removed_records_no_health(
    state: Engine, outages: Outages
) -> None:
    served_channels.record(state, {"pager": ()}, NOW)
    with writing(state) as connection:
        assert catalogue.remove(connection, "pager", NOW)
        health.record_failure(connection, "pager", "no connection", NOW)
        health.record_success(connection, "pager", NOW)
        assert health.of_all(connection) == {}


def test_send_that_fails_after_its_channel_was_switched_off_does_not_count(
    state: Engine, outages: Outages
) -> None:
    served_channels.record(state, {"pager": ()}, NOW)
    with writing(state) as connection:
        catalogue.save(connection, VAULT, PAGER, replace(PAGER, enabled=False), NOW)
        health.record_failure(connection, "pager", "no connection", NOW)
        assert health.of_all(connection)["pager"].failing_since is None
