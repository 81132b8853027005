"""Wrong passwords slow down whoever guesses, and keep no one else out."""

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


class Still(Clock):
    """Stands still, so that no wait ends."""

    def now(self) -> int:
        return 1_800_000_000_000


@pytest.fixture
def app(state: Engine) -> Flask:
    assert add_user(state, "Anna", "operator") == 1
    add_user(state, "Bert")
    return build_app(state, Still())


def guess(app: Flask, name: str, times: int, address: str = HERE) -> list[int]:
    visitor = Visitor(app, address)
    return [visitor.login(name, "wrong").status_code for _ in range(times)]


def returning(app: Flask, name: str, address: str = HERE) -> Visitor:
    """A browser in which this person logged in before."""
    visitor = Visitor(app, address)
    assert visitor.login(name).status_code == 303
    assert visitor.post("/logout").status_code == 303
    return visitor


def test_tries_for_a_name_do_not_lock_out_the_user_whose_id_it_is(app: Flask) -> None:
    assert guess(app, "1", 4) == [403, 403, 403, 429]
    assert Visitor(app).login("Anna").status_code == 303


def test_guesses_from_elsewhere_do_not_lock_a_person_out(app: Flask) -> None:
    assert guess(app, "Anna", 4, ELSEWHERE) == [403, 403, 403, 429]
    assert Visitor(app, HERE).login("Anna").status_code == 303


def test_guesses_from_the_same_address_do_not_lock_out_a_browser_known_from_before(
    app: Flask,
) -> None:
    anna = returning(app, "Anna")
    assert guess(app, "Anna", 4) == [403, 403, 403, 429]
    for number in range(throttle.address("").free):
        guess(app, f"nobody {number}", 1)
    assert Visitor(app).login("Anna").status_code == 429
    assert Visitor(app).login("Bert").status_code == 429
    assert anna.login("Anna").status_code == 303


def test_guesses_from_many_addresses_delay_only_browsers_that_are_not_known(app: Flask) -> None:
    anna = returning(app, "Anna")
    for number in range(throttle.user(1).free):
        assert guess(app, "Anna", 1, f"203.0.113.{number}") == [403]
    delayed = Visitor(app, ELSEWHERE).login("Anna")
    assert (delayed.status_code, delayed.headers["Retry-After"]) == (429, "1")
    assert Visitor(app, ELSEWHERE).login("Bert").status_code == 303
    assert anna.login("Anna").status_code == 303


def test_a_known_browser_has_few_mistakes_of_its_own_and_delays_no_other(app: Flask) -> None:
    anna = returning(app, "Anna")
    answers = [anna.login("Anna", "wrong").status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]
    assert Visitor(app).login("Anna").status_code == 303


def test_a_browser_is_known_to_its_own_person_alone(app: Flask) -> None:
    bert = returning(app, "Bert")
    guess(app, "Anna", 3)
    assert bert.login("Anna").status_code == 429


def test_a_mark_that_we_did_not_make_counts_for_nothing(app: Flask) -> None:
    guess(app, "Anna", 3)
    forged = Vault("another secret key of some length").sign("device", {"u": 1, "m": "x"})
    visitor = Visitor(app)
    visitor.client.set_cookie("monitor-device", forged)
    assert visitor.login("Anna").status_code == 429


def test_a_known_browser_still_needs_the_password(app: Flask) -> None:
    assert returning(app, "Anna").login("Anna", "wrong").status_code == 403


def test_who_chose_a_password_by_a_link_is_not_locked_out(app: Flask, state: Engine) -> None:
    guess(app, "Anna", 4)
    with reading(state) as connection:
        person = users.get(connection, 1)
    assert person
    visitor = Visitor(app)
    path = "/password/" + password_link(context.of(app), person).rpartition("/")[2]
    assert visitor.post(path, {"new": NEW, "again": NEW}, path).status_code == 303
    assert visitor.login("Anna", NEW).status_code == 303


def test_guesses_to_log_in_do_not_stop_a_person_who_is_in_from_changing_the_password(
    app: Flask,
) -> None:
    visitor = logged_in(app, "Anna")
    guess(app, "Anna", 4)
    form = {"old": PASSWORD, "new": NEW, "again": NEW}
    assert visitor.post("/account/password", form).status_code == 303


def test_the_present_password_can_be_guessed_few_times_and_its_owner_still_logs_in(
    app: Flask,
) -> None:
    thief = logged_in(app, "Anna")
    form = {"old": "wrong", "new": NEW, "again": NEW}
    answers = [thief.post("/account/password", form).status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]
    assert Visitor(app).login("Anna").status_code == 303


def test_a_new_password_ends_the_delay_of_an_account(app: Flask, state: Engine) -> None:
    for number in range(throttle.user(1).free):
        guess(app, "Anna", 1, f"203.0.113.{number}")
    assert Visitor(app, ELSEWHERE).login("Anna").status_code == 429
    with writing(state) as connection:
        person = users.get(connection, 1)
        assert person
        assert person.password
        users.set_password(connection, 1, person.password)
    assert Visitor(app, ELSEWHERE).login("Anna").status_code == 303
