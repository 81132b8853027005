"""The administration page of API tokens."""

import re

import pytest
from flask import Flask

from monitor.state import tokens
from monitor.state.database import reading
from tests.web.administrator_app import administrator_of, assert_refused, build_administrator_app
from tests.web.fleet_rig import Rig
from tests.web.operator_app import trail
from tests.web.visitors import Visitor

PATH = "/admin/tokens"
REVOKE = f"{PATH}/revoke"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def app(rig: Rig) -> Flask:
    return build_administrator_app(rig)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return administrator_of(app)


def role_of(rig: Rig, secret: str) -> str | None:
    with reading(rig.engine) as connection:
        token = tokens.find(connection, secret)
    return token and token.role


def test_token_is_shown_once_works_and_is_revoked(rig: Rig, visitor: Visitor) -> None:
    assert "every sensor needs one" in visitor.get(PATH).text
    answer = visitor.post(PATH, {"name": NASTY, "role": "viewer"}, PATH)
    (secret,) = re.findall(r"hbm_[\w-]+", answer.text)
    assert role_of(rig, secret) == "viewer"
    assert NASTY not in answer.text
    assert secret not in visitor.get(PATH).text
    assert visitor.post(REVOKE, {"name": NASTY}, PATH).status_code == 400
    assert role_of(rig, secret) == "viewer"
    assert visitor.post(REVOKE, {"name": NASTY, "sure": "yes"}, PATH).location == PATH
    assert role_of(rig, secret) is None
    assert "revoked." in visitor.get(PATH).text
    assert visitor.post(REVOKE, {"name": NASTY, "sure": "yes"}, PATH).status_code == 404
    entries = [(what, of) for _who, what, of, _detail in trail(rig)]
    assert entries == [("token revoked", NASTY), ("token created", NASTY)]
    assert secret not in repr(trail(rig))


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"name": "", "role": "viewer"}, "Name: must be 1 to 80 printable characters."),
        ({"name": "x" * 81, "role": "viewer"}, "Name: must be 1 to 80 printable characters."),
        (
            {"name": "roof", "role": "king"},
            "Role: must be one of ingest, viewer, operator, administrator.",
        ),
    ],
)
def test_invalid_input_is_refused_and_kept_in_the_form(
    rig: Rig, visitor: Visitor, form: dict[str, str], error: str
) -> None:
    answer = visitor.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert error in answer.text
    assert f'value="{form["name"]}"' in answer.text
    assert trail(rig) == []


def test_name_in_use_is_refused(visitor: Visitor) -> None:
    form = {"name": "roof", "role": "viewer"}
    assert visitor.post(PATH, form, PATH).status_code == 200
    again = visitor.post(PATH, form, PATH)
    assert again.status_code == 400
    assert "choose another name" in again.text


def test_only_administrators_can_create_and_revoke_tokens(app: Flask) -> None:
    assert_refused(app, PATH, {"name": "roof", "role": "administrator"})
    assert_refused(app, REVOKE, {"name": "roof", "sure": "yes"})
