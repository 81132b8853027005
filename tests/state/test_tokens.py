"""Tokens and their roles."""

import pytest
from sqlalchemy import Engine, select

from monitor.errors import Conflict
from monitor.state import tokens
from monitor.state.access_tables import token
from monitor.state.database import reading, writing


def test_only_a_digest_of_the_secret_is_stored(state: Engine) -> None:
    with writing(state) as connection:
        secret = tokens.create(connection, "roof", 1_000)
    assert secret.startswith("hbm_")
    assert len(secret) == 47
    with reading(state) as connection:
        assert tokens.active(connection) == (True, frozenset({tokens.digest(secret)}))
        row = connection.execute(select(token)).one()
    assert secret.encode() not in repr(row).encode()
    assert secret[4:] not in repr(row)


def test_no_tokens_and_all_tokens_revoked_are_distinguished(state: Engine) -> None:
    with writing(state) as connection:
        assert tokens.active(connection) == (False, frozenset())
        tokens.create(connection, "roof", 1_000)
        assert tokens.revoke(connection, "roof", 2_000)
        assert tokens.active(connection) == (True, frozenset())


def test_revoke_returns_false_for_a_token_that_is_not_in_force(state: Engine) -> None:
    with writing(state) as connection:
        tokens.create(connection, "roof", 1_000)
        assert not tokens.revoke(connection, "cellar", 2_000)
        assert tokens.revoke(connection, "roof", 2_000)
        assert not tokens.revoke(connection, "roof", 3_000)
        assert tokens.listed(connection) == [tokens.Token("roof", "ingest", 1_000, 2_000)]


def test_token_name_cannot_be_reused(state: Engine) -> None:
    with writing(state) as connection:
        tokens.create(connection, "roof", 1_000)
        tokens.revoke(connection, "roof", 2_000)
        with pytest.raises(Conflict, match="'roof'"):
            tokens.create(connection, "roof", 3_000)


def test_role_is_found_while_the_token_is_in_force(state: Engine) -> None:
    with writing(state) as connection:
        roof = tokens.create(connection, "roof", 1_000)
        night = tokens.create(connection, "night", 2_000, "operator")
    with reading(state) as connection:
        assert tokens.find(connection, roof) == tokens.Token("roof", "ingest", 1_000, None)
        assert tokens.find(connection, night) == tokens.Token("night", "operator", 2_000, None)
        for other in ("", "hbm_", night[:-1], night + "x", night.lower(), "\ud800"):
            assert tokens.find(connection, other) is None
    with writing(state) as connection:
        tokens.revoke(connection, "night", 3_000)
        assert tokens.find(connection, night) is None


def test_api_token_does_not_admit_sensors_or_make_tokens_required(
    state: Engine,
) -> None:
    with writing(state) as connection:
        for role in tokens.ROLES[1:]:
            tokens.create(connection, f"the {role}", 1_000, role)
        assert tokens.active(connection) == (False, frozenset())
        roof = tokens.create(connection, "roof", 1_000)
        assert tokens.active(connection) == (True, frozenset({tokens.digest(roof)}))
