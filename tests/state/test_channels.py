"""Channels and their encrypted secrets in the state."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert, select

from monitor.errors import Conflict
from monitor.state import channels
from monitor.state.channels import Health, Stored
from monitor.state.database import reading, writing
from monitor.state.tables import channel, channel_health
from monitor.vault import Vault

VAULT = Vault("a key of at least thirty-two characters")
OTHER = Vault("another key of at least 32 characters!")
NIGHT = Stored(
    name="night-shift",
    kind="telegram",
    settings={"chat": "-100"},
    secrets={"bot_token": "1234:confidential"},
    is_default=True,
    budget=20,
    created_at=1_000,
)


def put(state: Engine, *stored: Stored, vault: Vault = VAULT) -> None:
    with writing(state) as connection:
        for one in stored:
            channels.add(connection, vault, one)


def test_channel_is_read_as_it_was_added(state: Engine) -> None:
    plain = replace(NIGHT, name="plain", secrets={}, is_default=False, budget=None)
    put(state, NIGHT, plain)
    with reading(state) as connection:
        assert channels.load(connection, VAULT) == [NIGHT, plain]
        assert channels.find(connection, VAULT, "plain") == plain
        assert channels.find(connection, VAULT, "day-shift") is None
        assert channels.names(connection) == {"night-shift", "plain"}


def test_secrets_are_not_stored_or_printed_in_plain_text(state: Engine) -> None:
    put(state, NIGHT)
    with reading(state) as connection:
        row = connection.execute(select(channel)).one()
        (stored,) = channels.load(connection, VAULT)
    assert "confidential" not in repr(row)
    assert b"confidential" not in bytes(row.secrets)
    assert "confidential" not in repr(stored)


def test_channel_of_another_secret_key_is_broken_and_the_rest_are_listed(state: Engine) -> None:
    put(state, replace(NIGHT, name="old"), vault=OTHER)
    put(state, NIGHT)
    with reading(state) as connection:
        old, night = channels.load(connection, VAULT)
    assert old.broken == (
        "its secrets can't be read: encrypted with another secret key, or damaged"
    )
    assert old.secrets == {}
    assert night == NIGHT


def test_change_of_a_broken_channel_keeps_its_encrypted_secrets(
    state: Engine,
) -> None:
    put(state, NIGHT, vault=OTHER)
    with writing(state) as connection:
        broken = channels.find(connection, VAULT, "night-shift", to_change=True)
        assert broken is not None
        channels.save(connection, VAULT, replace(broken, enabled=False))
    with reading(state) as connection:
        back = channels.find(connection, OTHER, "night-shift")
    assert back == replace(NIGHT, enabled=False)


def test_new_secrets_repair_a_broken_channel(state: Engine) -> None:
    put(state, NIGHT, vault=OTHER)
    with writing(state) as connection:
        broken = channels.find(connection, VAULT, "night-shift", to_change=True)
        assert broken is not None
        channels.save(connection, VAULT, replace(broken, secrets=NIGHT.secrets, broken=None))
    with reading(state) as connection:
        assert channels.load(connection, VAULT) == [NIGHT]


def test_name_in_use_is_refused(state: Engine) -> None:
    put(state, NIGHT)
    with pytest.raises(Conflict, match="'night-shift'"):
        put(state, NIGHT)
    with reading(state) as connection:
        assert channels.load(connection, VAULT) == [NIGHT]


def test_removing_a_channel_removes_its_health(state: Engine) -> None:
    put(state, NIGHT)
    health = Health(sent_at=2_000, failing_since=3_000, error="answer 500", error_at=4_000)
    with writing(state) as connection:
        values = {"name": "night-shift", **health._asdict()}
        connection.execute(insert(channel_health).values(**values))
    with writing(state) as connection:
        assert channels.health(connection) == {"night-shift": health}
        assert channels.remove(connection, "night-shift")
        assert not channels.remove(connection, "night-shift")
        assert channels.health(connection) == {}


def test_remove_gone_removes_only_browsers(state: Engine) -> None:
    put(state, NIGHT, replace(NIGHT, name="browser-1", kind="webpush"))
    with writing(state) as connection:
        assert channels.remove_gone(connection, "browser-1")
        assert not channels.remove_gone(connection, "browser-1")
        assert not channels.remove_gone(connection, "night-shift")
        assert channels.names(connection) == {"night-shift"}
