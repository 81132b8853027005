"""The channels that a notifier finds in the state."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from monitor.channels.interface import SendFailed
from monitor.channels.webhook import Webhook
from monitor.outbox.channel_source import StoredChannelSource
from monitor.state import channels
from monitor.state.channels import Stored
from monitor.state.database import writing
from monitor.vault import Vault
from tests.channels.messages import message_about, sensor
from tests.receiver import Receiver

VAULT = Vault("a key of at least thirty-two characters")
OTHER = Vault("another key of at least 32 characters!")


def source_of(state: Engine, vault: Vault = VAULT) -> StoredChannelSource:
    return StoredChannelSource(state, vault, [Webhook("https://hook.example.org/")], True)


def put(state: Engine, stored: Stored) -> None:
    with writing(state) as connection:
        channels.add(connection, VAULT, stored)


def test_source_returns_channels_of_the_settings_and_enabled_channels_of_the_state(
    state: Engine, hook: Receiver
) -> None:
    pager = Stored("pager", "webhook", {"url": hook.url}, {}, budget=7)
    put(state, pager)
    put(state, replace(pager, name="off", enabled=False))
    served = source_of(state)()
    assert [each.channel.name for each in served] == ["webhook", "pager"]
    assert [each.budget for each in served] == [None, 7]


def test_channel_is_the_same_object_until_it_changes(state: Engine, hook: Receiver) -> None:
    pager = Stored("pager", "webhook", {"url": hook.url}, {})
    put(state, pager)
    source = source_of(state)
    before, again = ([each.channel for each in source()] for _ in range(2))
    assert before[0] is again[0]
    assert before[1] is again[1]
    with writing(state) as connection:
        channels.save(connection, VAULT, replace(pager, settings={"url": hook.url + "/new"}))
    changed = [each.channel for each in source()]
    assert changed[0] is before[0]
    assert changed[1] is not before[1]


@pytest.mark.parametrize(
    ("vault", "problem"),
    [(OTHER, "can't be read"), (VAULT, "settings.nonsense")],
    ids=["another secret key", "settings of an older version"],
)
def test_channel_that_cannot_be_used_fails_temporarily(
    state: Engine, hook: Receiver, vault: Vault, problem: str
) -> None:
    settings = {"url": hook.url} | ({} if vault is OTHER else {"nonsense": 1})
    put(state, Stored("pager", "webhook", settings, {"signing_secret": "x" * 32}))
    _, pager = source_of(state, vault)()
    with pytest.raises(SendFailed, match=problem) as caught:
        pager.channel.send(message_about("down", sensor(1)))
    assert not caught.value.permanent
