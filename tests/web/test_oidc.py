"""Logging in with an OpenID Connect provider, a real one on loopback."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from monitor.state import audit, users
from monitor.state.database import reading, writing
from monitor.web.auth.provider import Provider
from tests.states import state, state_url
from tests.web.contexts import BASE
from tests.web.visitors import PASSWORD, Visitor, add_user, build_app
from tests.web.vouching import CLIENT, Vouching

__all__ = ["state", "state_url"]

ZOE = {
    "sub": "4711",
    "name": "Zoë",
    "email": "zoe@example.org",
    "email_verified": True,
    "groups": ["night shift"],
}


@pytest.fixture
def vouching() -> Iterator[Vouching]:
    provider = Vouching()
    provider.claims = dict(ZOE)
    provider.server.start()
    yield provider
    provider.server.stop()


@pytest.fixture
def app(state: Engine, vouching: Vouching) -> Flask:
    return app_of(state, vouching)


def app_of(state: Engine, vouching: Vouching, domain: str = "") -> Flask:
    groups = {"administrator": ["chiefs"], "operator": ["night shift"], "viewer": ["staff"]}
    provider = Provider(vouching.issuer, *CLIENT, "groups", groups, domain)
    return build_app(state, provider=provider)


def sent_back(visitor: Visitor, wanted: str = "/unmarked") -> str:
    """To the provider and back: with which address."""
    to_provider = visitor.get(f"/login/provider?next={wanted}")
    assert to_provider.status_code == 302, to_provider.text
    back = requests.get(to_provider.location, timeout=10, allow_redirects=False)
    assert back.headers["Location"].startswith(f"{BASE}/login/provider/answer?")
    return back.headers["Location"].removeprefix(BASE)


def logged_in(visitor: Visitor) -> TestResponse:
    return visitor.get(sent_back(visitor))


def person(state: Engine, name: str) -> users.User:
    with reading(state) as connection:
        found = users.find(connection, name)
    assert found is not None
    return found


def test_whom_the_provider_vouches_for_is_made_a_user_with_the_role_of_their_groups(
    app: Flask, state: Engine, vouching: Vouching
) -> None:
    visitor = Visitor(app)
    assert "Log in with 127.0.0.1" in visitor.get("/login").text
    answer = logged_in(visitor)
    assert (answer.status_code, answer.location) == (303, "/unmarked")
    assert visitor.is_in()
    zoe = person(state, "zoe@example.org")
    assert (zoe.name, zoe.role, zoe.password) == ("Zoë", "operator", None)
    assert "Password" not in visitor.get("/account").text
    vouching.claims |= {"groups": ["staff", "chiefs"], "name": "Zoë B."}
    logged_in(Visitor(app))
    zoe = person(state, "zoe@example.org")
    assert (zoe.name, zoe.role) == ("Zoë", "administrator")
    with reading(state) as connection:
        assert [entry.what for entry in audit.listed(connection, 9)] == [
            "user changed",
            "user created",
        ]


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"groups": ["strangers"]}, "None of your groups"),
        ({"groups": []}, "None of your groups"),
        ({"groups": None}, "None of your groups"),
        ({"email": "zoe@evil.example"}, "Only users of example.org"),
        ({"email_verified": False}, "Only users of example.org"),
        ({"email": "zoe@example.org.evil.example"}, "Only users of example.org"),
    ],
)
def test_who_is_of_no_group_or_of_another_domain_is_not_let_in(
    state: Engine, vouching: Vouching, claims: dict[str, Any], told: str
) -> None:
    app = app_of(state, vouching, "example.org")
    vouching.claims |= claims
    visitor = Visitor(app)
    answer = logged_in(visitor)
    assert answer.status_code == 403
    assert told in answer.text
    assert not visitor.is_in()


def test_no_one_gets_another_s_account_by_a_name_or_an_address(app: Flask, state: Engine) -> None:
    add_user(state, "Zoë", "administrator", email="zoe@example.org")
    visitor = Visitor(app)
    logged_in(visitor)
    assert "Zoë 2" in visitor.get("/account").text
    assert person(state, "Zoë 2").role == "operator"
    assert person(state, "zoe@example.org").name == "Zoë"


def test_who_was_deactivated_here_stays_out(app: Flask, state: Engine) -> None:
    logged_in(Visitor(app))
    with writing(state) as connection:
        users.change(connection, person(state, "Zoë").id, active=False)
    visitor = Visitor(app)
    assert "Your account is deactivated" in logged_in(visitor).text
    assert not visitor.is_in()


def test_an_answer_counts_once_and_only_in_the_browser_that_asked(app: Flask) -> None:
    visitor, other = Visitor(app), Visitor(app)
    back = sent_back(visitor)
    assert other.get(back).status_code == 503
    assert not other.is_in()
    assert visitor.get(back).status_code == 303
    assert other.get(back).status_code == 503
    assert Visitor(app).get("/login/provider/answer").status_code == 503


@pytest.mark.parametrize(
    "claims", [{"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"nonce": "x"}]
)
def test_a_token_for_somebody_else_or_of_old_is_refused(
    app: Flask, vouching: Vouching, claims: dict[str, Any]
) -> None:
    vouching.claims |= claims
    visitor = Visitor(app)
    assert logged_in(visitor).status_code == 503
    assert not visitor.is_in()


def test_a_token_that_the_provider_did_not_sign_is_refused(app: Flask, vouching: Vouching) -> None:
    vouching.key = RSAKey.generate_key(2048, {"kid": "1"})
    visitor = Visitor(app)
    assert logged_in(visitor).status_code == 503
    assert not visitor.is_in()


def test_userinfo_adds_to_the_identity_token(app: Flask, state: Engine, vouching: Vouching) -> None:
    del vouching.claims["groups"]
    vouching.more = {"sub": ZOE["sub"], "groups": ["chiefs"]}
    assert logged_in(Visitor(app)).status_code == 303
    assert person(state, "zoe@example.org").role == "administrator"


@pytest.mark.parametrize(
    "more", [{"sub": "4712", "groups": ["chiefs"]}, {"groups": ["chiefs"]}, ["chiefs"], "chiefs"]
)
def test_userinfo_that_is_not_about_this_user_is_refused(
    app: Flask, vouching: Vouching, more: object
) -> None:
    vouching.more = more
    visitor = Visitor(app)
    assert logged_in(visitor).status_code == 503
    assert not visitor.is_in()


def test_a_provider_by_another_name_is_refused(app: Flask, vouching: Vouching) -> None:
    vouching.answers = {"issuer": "https://evil.example"}
    assert Visitor(app).get("/login/provider").status_code == 503


def test_a_provider_that_is_away_keeps_no_one_with_a_password_out(
    app: Flask, state: Engine, vouching: Vouching
) -> None:
    add_user(state, "Anna")
    vouching.server.stop()
    visitor = Visitor(app)
    away = visitor.get("/login/provider?next=/unmarked")
    assert away.status_code == 503
    assert "can&#39;t be reached" in away.text
    assert 'name="password"' in away.text
    assert visitor.login("Anna", PASSWORD).status_code == 303
    vouching.server.start()
    assert logged_in(Visitor(app)).status_code == 303


def test_no_one_is_led_to_another_site_by_the_way_of_the_provider(app: Flask) -> None:
    visitor = Visitor(app)
    assert visitor.get(sent_back(visitor, "//evil.example")).location == "/"
