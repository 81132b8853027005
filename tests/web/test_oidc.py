"""Login with an OpenID Connect provider, which runs on loopback."""

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
from tests.web.identity_provider import CLIENT, IdentityProvider
from tests.web.visitors import PASSWORD, Visitor, add_user, build_app

__all__ = ["state", "state_url"]

ZOE = {
    "sub": "4711",
    "name": "Zoë",
    "email": "zoe@example.org",
    "email_verified": True,
    "groups": ["night shift"],
}


@pytest.fixture
def identity_provider() -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    provider.claims = dict(ZOE)
    provider.server.start()
    yield provider
    provider.server.stop()


@pytest.fixture
def app(state: Engine, identity_provider: IdentityProvider) -> Flask:
    return app_of(state, identity_provider)


def app_of(state: Engine, identity_provider: IdentityProvider, domain: str = "") -> Flask:
    groups = {"administrator": ["chiefs"], "operator": ["night shift"], "viewer": ["staff"]}
    provider = Provider(identity_provider.issuer, *CLIENT, "groups", groups, domain)
    return build_app(state, provider=provider)


def follow_redirects(visitor: Visitor, wanted: str = "/unmarked") -> str:
    """Follow the redirects to the provider and back; the path of the last one."""
    to_provider = visitor.get(f"/login/provider?next={wanted}")
    assert to_provider.status_code == 302, to_provider.text
    back = requests.get(to_provider.location, timeout=10, allow_redirects=False)
    assert back.headers["Location"].startswith(f"{BASE}/login/provider/answer?")
    return back.headers["Location"].removeprefix(BASE)


def logged_in(visitor: Visitor) -> TestResponse:
    return visitor.get(follow_redirects(visitor))


def find_user(state: Engine, name: str) -> users.User:
    with reading(state) as connection:
        found = users.find(connection, name)
    assert found is not None
    return found


def test_login_creates_a_user_with_the_role_of_the_groups(
    app: Flask, state: Engine, identity_provider: IdentityProvider
) -> None:
    visitor = Visitor(app)
    assert "Log in with 127.0.0.1" in visitor.get("/login").text
    answer = logged_in(visitor)
    assert (answer.status_code, answer.location) == (303, "/unmarked")
    assert visitor.is_logged_in()
    zoe = find_user(state, "zoe@example.org")
    assert (zoe.name, zoe.role, zoe.password) == ("Zoë", "operator", None)
    assert "Password" not in visitor.get("/account").text
    identity_provider.claims |= {"groups": ["staff", "chiefs"], "name": "Zoë B."}
    logged_in(Visitor(app))
    zoe = find_user(state, "zoe@example.org")
    assert (zoe.name, zoe.role) == ("Zoë", "administrator")
    with reading(state) as connection:
        assert [entry.what for entry in audit.listed(connection, 9)] == [
            "user changed",
            "user created",
        ]


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"groups": ["strangers"]}, "None of your groups"),
        ({"groups": []}, "None of your groups"),
        ({"groups": None}, "None of your groups"),
        ({"email": "zoe@evil.example"}, "Only users of example.org"),
        ({"email_verified": False}, "Only users of example.org"),
        ({"email": "zoe@example.org.evil.example"}, "Only users of example.org"),
    ],
)
def test_user_without_a_group_or_of_another_domain_is_refused(
    state: Engine, identity_provider: IdentityProvider, claims: dict[str, Any], error: str
) -> None:
    app = app_of(state, identity_provider, "example.org")
    identity_provider.claims |= claims
    visitor = Visitor(app)
    answer = logged_in(visitor)
    assert answer.status_code == 403
    assert error in answer.text
    assert not visitor.is_logged_in()


def test_same_name_or_email_does_not_open_the_account_of_another_user(
    app: Flask, state: Engine
) -> None:
    add_user(state, "Zoë", "administrator", email="zoe@example.org")
    visitor = Visitor(app)
    logged_in(visitor)
    assert "Zoë 2" in visitor.get("/account").text
    assert find_user(state, "Zoë 2").role == "operator"
    assert find_user(state, "zoe@example.org").name == "Zoë"


def test_deactivated_user_is_refused(app: Flask, state: Engine) -> None:
    logged_in(Visitor(app))
    with writing(state) as connection:
        users.change(connection, find_user(state, "Zoë").id, active=False)
    visitor = Visitor(app)
    assert "Your account is deactivated" in logged_in(visitor).text
    assert not visitor.is_logged_in()


def test_provider_response_is_valid_once_and_only_in_its_browser(app: Flask) -> None:
    visitor, other = Visitor(app), Visitor(app)
    back = follow_redirects(visitor)
    assert other.get(back).status_code == 503
    assert not other.is_logged_in()
    assert visitor.get(back).status_code == 303
    assert other.get(back).status_code == 503
    assert Visitor(app).get("/login/provider/answer").status_code == 503


@pytest.mark.parametrize(
    "claims", [{"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"nonce": "x"}]
)
def test_identity_token_with_invalid_claims_is_refused(
    app: Flask, identity_provider: IdentityProvider, claims: dict[str, Any]
) -> None:
    identity_provider.claims |= claims
    visitor = Visitor(app)
    assert logged_in(visitor).status_code == 503
    assert not visitor.is_logged_in()


def test_identity_token_with_an_invalid_signature_is_refused(
    app: Flask, identity_provider: IdentityProvider
) -> None:
    identity_provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    visitor = Visitor(app)
    assert logged_in(visitor).status_code == 503
    assert not visitor.is_logged_in()


def test_userinfo_adds_to_the_identity_token(
    app: Flask, state: Engine, identity_provider: IdentityProvider
) -> None:
    del identity_provider.claims["groups"]
    identity_provider.more = {"sub": ZOE["sub"], "groups": ["chiefs"]}
    assert logged_in(Visitor(app)).status_code == 303
    assert find_user(state, "zoe@example.org").role == "administrator"


@pytest.mark.parametrize(
    "more", [{"sub": "4712", "groups": ["chiefs"]}, {"groups": ["chiefs"]}, ["chiefs"], "chiefs"]
)
def test_userinfo_that_is_not_about_this_user_is_refused(
    app: Flask, identity_provider: IdentityProvider, more: object
) -> None:
    identity_provider.more = more
    visitor = Visitor(app)
    assert logged_in(visitor).status_code == 503
    assert not visitor.is_logged_in()


def test_provider_with_another_issuer_is_refused(
    app: Flask, identity_provider: IdentityProvider
) -> None:
    identity_provider.answers = {"issuer": "https://evil.example"}
    assert Visitor(app).get("/login/provider").status_code == 503


def test_password_login_works_while_the_provider_is_unreachable(
    app: Flask, state: Engine, identity_provider: IdentityProvider
) -> None:
    add_user(state, "Anna")
    identity_provider.server.stop()
    visitor = Visitor(app)
    refused = visitor.get("/login/provider?next=/unmarked")
    assert refused.status_code == 503
    assert "can&#39;t be reached" in refused.text
    assert 'name="password"' in refused.text
    assert visitor.login("Anna", PASSWORD).status_code == 303
    identity_provider.server.start()
    assert logged_in(Visitor(app)).status_code == 303


def test_provider_login_does_not_redirect_to_another_site(app: Flask) -> None:
    visitor = Visitor(app)
    assert visitor.get(follow_redirects(visitor, "//evil.example")).location == "/"
