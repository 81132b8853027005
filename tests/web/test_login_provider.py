"""Logging in with a real OpenID Connect provider in its default configuration."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from monitor.state import users
from monitor.state.database import reading
from monitor.web.auth.provider import Provider
from tests.login_provider.server import CLIENT, installed, log_in, login_provider
from tests.states import state, state_url
from tests.web.contexts import BASE
from tests.web.visitors import Visitor, build_app

__all__ = ["state", "state_url"]

BACK = f"{BASE}/login/provider/answer"
ZOE = {
    "name": "Zoë",
    "email": "zoe@example.org",
    "email_verified": True,
    "groups": ["night shift"],
}
MALLORY = {"name": "Mallory", "email": "mallory@example.org", "email_verified": False}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with login_provider(installed(), BACK, {"zoe": ZOE, "mallory": MALLORY}) as running:
        yield running


def logged_in(state: Engine, issuer: str, name: str, domain: str = "") -> TestResponse:
    groups = {"operator": ["night shift"]}
    provider = Provider(issuer, *CLIENT, "groups", groups, domain)
    visitor = Visitor(build_app(state, provider=provider))
    there = visitor.get("/login/provider?next=/unmarked")
    assert there.status_code == 302, there.text
    return visitor.get(log_in(there.location, name, BACK).removeprefix(BASE))


def test_groups_and_address_come_from_the_userinfo_endpoint(state: Engine, issuer: str) -> None:
    answer = logged_in(state, issuer, "zoe", domain="example.org")
    assert answer.status_code == 303, answer.text
    assert answer.location.endswith("/unmarked")
    with reading(state) as connection:
        (found,) = users.listed(connection)
    assert (found.name, found.email, found.role) == ("Zoë", "zoe@example.org", "operator")


def test_user_without_a_group_is_refused(state: Engine, issuer: str) -> None:
    answer = logged_in(state, issuer, "mallory")
    assert answer.status_code == 403
    assert "None of your groups has access here" in answer.text


def test_address_that_is_not_verified_is_refused(state: Engine, issuer: str) -> None:
    answer = logged_in(state, issuer, "mallory", domain="example.org")
    assert answer.status_code == 403
    assert "Only users of example.org" in answer.text
