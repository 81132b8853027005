"""Tokens and their roles."""

import pytest
from sqlalchemy import Engine, select

from monitor.errors import Conflict
from monitor.state import tokens
from monitor.state.access_tables import token
from monitor.state.database import reading, writing


def test_a_secret_is_shown_once_and_kept_only_as_its_digest(state: Engine) -> None:
    with writing(state) as connection:
        secret = tokens.create(connection, "roof", 1_000)
    assert secret.startswith("hbm_")
    assert len(secret) == 47
    with reading(state) as connection:
        assert tokens.active(connection) == (True, frozenset({tokens.digest(secret)}))
        row = connection.execute(select(token)).one()
    assert secret.encode() not in repr(row).encode()
    assert secret[4:] not in repr(row)


def test_no_token_ever_made_is_told_from_all_revoked(state: Engine) -> None:
    with writing(state) as connection:
        assert tokens.active(connection) == (False, frozenset())
        tokens.create(connection, "roof", 1_000)
        assert tokens.revoke(connection, "roof", 2_000)
        assert tokens.active(connection) == (True, frozenset())


def test_revoking_what_is_not_in_force_says_so(state: Engine) -> None:
    with writing(state) as connection:
        tokens.create(connection, "roof", 1_000)
        assert not tokens.revoke(connection, "cellar", 2_000)
        assert tokens.revoke(connection, "roof", 2_000)
        assert not tokens.revoke(connection, "roof", 3_000)
        assert tokens.listed(connection) == [tokens.Token("roof", "ingest", 1_000, 2_000)]


def test_a_name_is_given_once_for_ever(state: Engine) -> None:
    with writing(state) as connection:
        tokens.create(connection, "roof", 1_000)
        tokens.revoke(connection, "roof", 2_000)
        with pytest.raises(Conflict, match="'roof'"):
            tokens.create(connection, "roof", 3_000)


def test_the_role_of_a_secret_is_found_while_it_is_in_force(state: Engine) -> None:
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


def test_a_persons_token_neither_lets_a_sensor_in_nor_makes_sensors_need_one(
    state: Engine,
) -> None:
    with writing(state) as connection:
        for role in tokens.ROLES[1:]:
            tokens.create(connection, f"the {role}", 1_000, role)
        assert tokens.active(connection) == (False, frozenset())
        roof = tokens.create(connection, "roof", 1_000)
        assert tokens.active(connection) == (True, frozenset({tokens.digest(roof)}))
