"""Public status pages."""

import re
import time

import pytest
from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from monitor.errors import StateUnavailable
from monitor.model import MINUTE, SECOND
from monitor.state import public_pages
from monitor.state.database import writing
from monitor.state.public_pages import PublicPage
from tests.web.complete_app import NASTY
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import Visitor, add_user, logged_in

MAC = 0x02_00_00_00_00_0A


@pytest.fixture
def app(rig: Rig) -> Flask:
    add_user(rig.engine, "Anna", "administrator")
    return rig.build_app(base_url=BASE, local=False)


def make(state: Engine, sites: list[str] | None = None, names: bool = True) -> PublicPage:
    with writing(state) as connection:
        number = public_pages.add(connection, "Our plants", sites, names, 0)
        made = public_pages.get(connection, number)
    assert made is not None
    return made


def open_page(app: Flask, page: PublicPage, now: str = "") -> TestResponse:
    answer = Visitor(app).get(f"/public/{page.key}{now}")
    assert answer.status_code == 200, answer.text
    return answer


def visible_text(page: TestResponse) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.text.partition("<main")[2] or page.text).split())


def test_link_shows_only_the_selected_sites(rig: Rig, app: Flask) -> None:
    rig.configure(1, name="Boiler", site="Cellar", labels={"crew": "B"})
    rig.configure(2, name="Pump", site="Cellar", paused=True)
    rig.configure(3, name="Vault door", site="Bank")
    rig.beat(1, 2, 3, MAC, ago=5 * SECOND)
    rig.judge()
    shown = visible_text(open_page(app, make(rig.engine, ["Cellar"])))
    assert "Our plants" in shown
    assert "1 of 2 sensors up, none down as of 20" in shown
    assert "Cellar 0 0 0 1 1" in shown
    assert re.search(r"Boiler Cellar up , last seen \d s ago", shown)
    for private in ("Bank", "Vault", "crew", "02:00", "href", "Log"):
        assert private not in shown
    everything = make(rig.engine)
    rig.clock.ahead += SECOND
    assert "Bank" in visible_text(open_page(app, everything))


def test_page_is_not_indexed_and_cached_only_briefly(rig: Rig, app: Flask) -> None:
    page = make(rig.engine)
    for now in ("", "/now"):
        answer = open_page(app, page, now)
        assert answer.headers["Cache-Control"] == "max-age=10"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.headers["Vary"]
    anna = logged_in(app, "Anna").get(f"/public/{page.key}")
    assert "Anna" not in anna.text
    assert "csrf" not in anna.text


def test_page_without_names_shows_only_counts(rig: Rig, app: Flask) -> None:
    rig.configure(1, name="Boiler", site="Cellar")
    rig.beat(1)
    rig.judge()
    shown = visible_text(open_page(app, make(rig.engine, names=False)))
    assert "Everything" not in shown
    assert "The sensor is up" in shown
    assert "Boiler" not in shown
    assert "Cellar" in shown


def test_unnamed_sensor_is_shown_by_the_end_of_its_address(rig: Rig, app: Flask) -> None:
    rig.beat(MAC)
    rig.judge()
    text = open_page(app, make(rig.engine)).text
    assert "…00:00:0a" in text
    assert "02:00:00" not in text


def test_down_sensors_are_listed_first(rig: Rig, app: Flask) -> None:
    for mac in range(1, 6):
        rig.configure(mac, name=f"Pump {mac}", site="Cellar")
    rig.beat(*range(1, 6))
    rig.open_incidents([3])
    rig.judge()
    shown = visible_text(open_page(app, make(rig.engine)))
    assert "1 of 5 sensors down" in shown
    assert shown.index("Pump 3") < shown.index("Pump 1") < shown.index("Pump 2")


def test_status_is_unknown_while_monitoring_is_behind(rig: Rig, app: Flask) -> None:
    rig.beat(1)
    rig.judge(ago=MINUTE)
    shown = visible_text(open_page(app, make(rig.engine)))
    assert "The current status is not known" in shown
    assert "Monitoring is behind" in shown
    assert "scheduler" not in shown  # the cause is not public
    assert "is up" not in shown


def test_unavailable_state_returns_503_instead_of_404(
    rig: Rig, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = make(rig.engine)

    def unavailable(*_: object) -> None:
        raise StateUnavailable("unavailable")

    monkeypatch.setattr("monitor.web.public.pages.reading", unavailable)
    answer = Visitor(app).get(f"/public/{page.key}")
    assert answer.status_code == 503
    assert "state database is not available" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_unavailable_store_returns_503(rig: Rig, app: Flask) -> None:
    for path in rig.directory.glob("heartbeats.sqlite*"):
        path.unlink()
    (rig.directory / "heartbeats.sqlite").write_bytes(b"no database" * 1_000)
    answer = Visitor(app).get(f"/public/{make(rig.engine).key}")
    assert answer.status_code == 503


def test_replaced_or_unknown_link_returns_404(rig: Rig, app: Flask) -> None:
    page = make(rig.engine)
    with writing(rig.engine) as connection:
        public_pages.renew_key(connection, page.id)
    for key in (page.key, "x", "%00", "ä"):
        for now in ("", "/now"):
            answer = Visitor(app).get(f"/public/{key}{now}")
            assert answer.status_code == 404
            assert "This page doesn&#39;t exist" in answer.text


def test_names_and_titles_are_escaped(rig: Rig, app: Flask) -> None:
    rig.configure(1, name=NASTY, site=NASTY)
    rig.beat(1)
    rig.judge()
    number = make(rig.engine).id
    with writing(rig.engine) as connection:
        public_pages.change(connection, number, NASTY, [NASTY], True)
        (page,) = public_pages.listed(connection)
    for now in ("", "/now"):
        text = open_page(app, page, now).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_page_of_ten_thousand_sensors_is_short_and_fast(rig: Rig, app: Flask) -> None:
    macs = range(1, 10_001)
    rig.beat(*macs)
    rig.judge()
    page = make(rig.engine)
    open_page(app, page)
    rig.clock.ahead += 11 * SECOND
    rig.judge()
    began = time.perf_counter()
    answer = open_page(app, page)
    first = time.perf_counter() - began
    assert answer.text.count("<li>") == 500
    assert "and 9500 more" in visible_text(answer)
    assert len(answer.data) < 200_000
    assert first < 2
