"""Wrong passwords delay further attempts, and do not lock out other users."""

import pytest
from flask import Flask
from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.state import throttle, users
from monitor.state.database import reading, writing
from monitor.vault import Vault
from monitor.web import context
from monitor.web.auth.password_links import password_link
from tests.states import state, state_url
from tests.web.visitors import PASSWORD, Visitor, add_user, build_app, logged_in

__all__ = ["state", "state_url"]

NEW = "another horse battery"
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


class FixedClock(Clock):
    """Stands still, so that no delay ends."""

    def now(self) -> int:
        return 1_800_000_000_000


@pytest.fixture
def app(state: Engine) -> Flask:
    assert add_user(state, "Anna", "operator") == 1
    add_user(state, "Bert")
    return build_app(state, FixedClock())


def attempt_logins(app: Flask, name: str, times: int, address: str = HERE) -> list[int]:
    visitor = Visitor(app, address)
    return [visitor.login(name, "wrong").status_code for _ in range(times)]


def known_browser(app: Flask, name: str, address: str = HERE) -> Visitor:
    """A browser in which this user logged in before."""
    visitor = Visitor(app, address)
    assert visitor.login(name).status_code == 303
    assert visitor.post("/logout").status_code == 303
    return visitor


def test_attempts_for_a_name_do_not_lock_out_the_user_with_that_id(app: Flask) -> None:
    assert attempt_logins(app, "1", 4) == [403, 403, 403, 429]
    assert Visitor(app).login("Anna").status_code == 303


def test_attempts_from_another_address_do_not_lock_out_the_user(app: Flask) -> None:
    assert attempt_logins(app, "Anna", 4, ELSEWHERE) == [403, 403, 403, 429]
    assert Visitor(app, HERE).login("Anna").status_code == 303


def test_attempts_from_the_same_address_do_not_lock_out_a_known_browser(
    app: Flask,
) -> None:
    anna = known_browser(app, "Anna")
    assert attempt_logins(app, "Anna", 4) == [403, 403, 403, 429]
    for number in range(throttle.address("").free):
        attempt_logins(app, f"nobody {number}", 1)
    assert Visitor(app).login("Anna").status_code == 429
    assert Visitor(app).login("Bert").status_code == 429
    assert anna.login("Anna").status_code == 303


def test_attempts_from_many_addresses_delay_only_unknown_browsers(app: Flask) -> None:
    anna = known_browser(app, "Anna")
    for number in range(throttle.user(1).free):
        assert attempt_logins(app, "Anna", 1, f"203.0.113.{number}") == [403]
    delayed = Visitor(app, ELSEWHERE).login("Anna")
    assert (delayed.status_code, delayed.headers["Retry-After"]) == (429, "1")
    assert Visitor(app, ELSEWHERE).login("Bert").status_code == 303
    assert anna.login("Anna").status_code == 303


def test_attempts_in_a_known_browser_are_limited_and_delay_no_other(app: Flask) -> None:
    anna = known_browser(app, "Anna")
    answers = [anna.login("Anna", "wrong").status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]
    assert Visitor(app).login("Anna").status_code == 303


def test_known_browser_counts_only_for_its_user(app: Flask) -> None:
    bert = known_browser(app, "Bert")
    attempt_logins(app, "Anna", 3)
    assert bert.login("Anna").status_code == 429


def test_forged_device_cookie_is_ignored(app: Flask) -> None:
    attempt_logins(app, "Anna", 3)
    forged = Vault("another secret key of some length").sign("device", {"u": 1, "m": "x"})
    visitor = Visitor(app)
    visitor.client.set_cookie("monitor-device", forged)
    assert visitor.login("Anna").status_code == 429


def test_known_browser_requires_the_password(app: Flask) -> None:
    assert known_browser(app, "Anna").login("Anna", "wrong").status_code == 403


def test_new_password_set_by_a_link_lifts_the_lockout(app: Flask, state: Engine) -> None:
    attempt_logins(app, "Anna", 4)
    with reading(state) as connection:
        person = users.get(connection, 1)
    assert person
    visitor = Visitor(app)
    path = "/password/" + password_link(context.of(app), person).rpartition("/")[2]
    assert visitor.post(path, {"new": NEW, "again": NEW}, path).status_code == 303
    assert visitor.login("Anna", NEW).status_code == 303


def test_failed_logins_do_not_prevent_a_password_change(
    app: Flask,
) -> None:
    visitor = logged_in(app, "Anna")
    attempt_logins(app, "Anna", 4)
    form = {"old": PASSWORD, "new": NEW, "again": NEW}
    assert visitor.post("/account/password", form).status_code == 303


def test_attempts_at_a_password_change_are_limited_and_block_no_login(
    app: Flask,
) -> None:
    attacker = logged_in(app, "Anna")
    form = {"old": "wrong", "new": NEW, "again": NEW}
    answers = [attacker.post("/account/password", form).status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]
    assert Visitor(app).login("Anna").status_code == 303


def test_new_password_ends_the_delay_of_an_account(app: Flask, state: Engine) -> None:
    for number in range(throttle.user(1).free):
        attempt_logins(app, "Anna", 1, f"203.0.113.{number}")
    assert Visitor(app, ELSEWHERE).login("Anna").status_code == 429
    with writing(state) as connection:
        person = users.get(connection, 1)
        assert person
        assert person.password
        users.set_password(connection, 1, person.password)
    assert Visitor(app, ELSEWHERE).login("Anna").status_code == 303
