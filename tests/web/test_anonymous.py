"""The load that viewers without a login can cause."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from monitor.model import SECOND, format_mac
from monitor.state import public_pages
from monitor.state.database import writing
from monitor.store.sqlite import SqliteStore
from monitor.vault import Vault
from monitor.web import anonymous
from monitor.web.anonymous import AT_ONCE, PLACES
from monitor.web.grid.fleet import Fleet
from tests.waiting import eventually
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import add_user, logged_in

VAULT = Vault("a secret key of some length, all for tests")
REQUESTS = 50


class BlockedMethod:
    """Replaces a method by one that counts its calls and blocks until `may_return` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> None:
        self.calls, self.at_once, self.most_at_once = 0, 0, 0
        self.may_return = threading.Event()
        self._lock = threading.Lock()
        real = getattr(kind, name)

        def blocked(*arguments: Any) -> Any:
            with self._lock:
                self.calls += 1
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                assert self.may_return.wait(60)
                return real(*arguments)
            finally:
                with self._lock:
                    self.at_once -= 1

        monkeypatch.setattr(kind, name, blocked)


@pytest.fixture
def app(rig: Rig) -> Flask:
    add_user(rig.engine, "Anna", "operator")
    app = rig.build_app(vault=VAULT, base_url=BASE, local=False)
    rig.configure(1, name="Boiler", site="Cellar")
    rig.register(*range(1, REQUESTS + 1))
    rig.beat(*range(1, REQUESTS + 1))
    rig.judge()
    assert app.test_client().get(badge(1, "status")).status_code == 200  # the fleet is read
    return app


def badge(mac: int, show: str) -> str:
    return f"/badge/{VAULT.sign('badge', {'sensor': format_mac(mac), 'show': show})}.svg"


@pytest.fixture
def long_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting requests must not time out, even on a slow machine."""
    monkeypatch.setattr(anonymous, "_PATIENCE", 60.0)


def public_page(rig: Rig) -> str:
    with writing(rig.engine) as connection:
        public_pages.add(connection, "Our plants", None, True, 0)
        (page,) = public_pages.listed(connection)
    return f"/public/{page.key}"


@contextmanager
def concurrent_requests(app: Flask, paths: list[str]) -> Iterator[list[Future[TestResponse]]]:
    """Request all paths at the same time."""
    with ThreadPoolExecutor(len(paths)) as pool:
        yield [pool.submit(lambda path: app.test_client().get(path), path) for path in paths]


def refused(answers: list[Future[TestResponse]]) -> list[TestResponse]:
    done = [answer.result() for answer in answers if answer.done()]
    assert all(answer.headers["Retry-After"] == "2" for answer in done)
    assert {answer.status_code for answer in done} <= {503}
    return done


@pytest.mark.usefixtures("long_timeout")
@pytest.mark.parametrize("what", ["badge", "page"])
def test_concurrent_requests_for_one_page_cause_one_query(
    rig: Rig, app: Flask, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = badge(1, "30d") if what == "badge" else public_page(rig)
    asked = (SqliteStore, "gaps") if what == "badge" else (Fleet, "changes")
    rig.clock.ahead += 3 * SECOND
    slow = BlockedMethod(monkeypatch, *asked)
    with concurrent_requests(app, [path] * REQUESTS) as answers:
        eventually(lambda: len(refused(answers)) == REQUESTS - PLACES, 30)
        slow.may_return.set()
    statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200] * PLACES + [503] * (REQUESTS - PLACES)
    with concurrent_requests(app, [path] * REQUESTS) as answers:
        pass
    assert {answer.result().status_code for answer in answers} == {200}
    assert slow.calls == 1


def test_concurrent_badge_queries_are_limited_and_other_pages_respond(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = BlockedMethod(monkeypatch, SqliteStore, "gaps")
    with concurrent_requests(app, [badge(mac, "30d") for mac in range(1, REQUESTS + 1)]) as answers:
        eventually(lambda: len(refused(answers)) == REQUESTS - AT_ONCE, 30)
        assert slow.calls == AT_ONCE
        assert app.test_client().get("/healthz").status_code == 200
        assert logged_in(app, "Anna").get("/").status_code == 200
        slow.may_return.set()
    assert [answer.result().status_code for answer in answers].count(200) == AT_ONCE
    assert slow.most_at_once == AT_ONCE


@pytest.mark.usefixtures("long_timeout")
def test_all_uptimes_of_a_sensor_are_computed_by_one_query(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = BlockedMethod(monkeypatch, SqliteStore, "gaps")
    with concurrent_requests(app, [badge(1, show) for show in ("24h", "7d", "30d")]) as answers:
        eventually(lambda: slow.calls == 1)
        slow.may_return.set()
    assert {answer.result().status_code for answer in answers} == {200}
    assert slow.calls == 1


@pytest.mark.usefixtures("long_timeout")
def test_old_response_is_served_while_a_new_one_is_computed(
    rig: Rig, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = public_page(rig)
    assert "Boiler" in app.test_client().get(path).text
    rig.configure(1, name="Furnace")
    rig.clock.ahead += 11 * SECOND
    rig.judge()
    slow = BlockedMethod(monkeypatch, Fleet, "changes")
    with concurrent_requests(app, [path]) as (first,):
        eventually(lambda: slow.calls == 1)
        with concurrent_requests(app, [path] * REQUESTS) as stale:
            pass
        assert not first.done()
        assert all("Boiler" in answer.result().text for answer in stale)
        slow.may_return.set()
    assert "Furnace" in first.result().text
    rig.clock.ahead += anonymous.USABLE
    slow.may_return.clear()
    with concurrent_requests(app, [path] * 3) as late:
        eventually(lambda: slow.at_once == 1)
        assert not any(answer.done() for answer in late)  # all wait: the old one is too old
        slow.may_return.set()
    assert slow.calls == 2


def test_invalid_links_cause_no_additional_queries(
    rig: Rig, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = public_page(rig), rig.clock.now()
    monkeypatch.setattr(rig.clock, "now", lambda: now)
    listed = BlockedMethod(monkeypatch, type(rig.engine), "connect")
    listed.may_return.set()
    for number in range(REQUESTS):
        assert app.test_client().get(f"/public/{number}").status_code == 404
        assert app.test_client().get(f"/badge/{number}.svg").status_code == 404
    assert app.test_client().get(path).status_code == 200
    assert listed.calls == 1
