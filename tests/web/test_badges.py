"""Badges: what they say, and to whom."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from monitor.errors import StateUnavailable
from monitor.model import MINUTE
from monitor.vault import Vault
from monitor.web.public.caches import BadgeSubject
from monitor.web.sensors import uptime_bars
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import add_user, logged_in

VAULT = Vault("a secret key of some length, all for tests")
MAC = 0x02_00_00_00_00_0A
ADDRESS = "02:00:00:00:00:0a"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def app(rig: Rig) -> Flask:
    """There is a user, so anyone else can see only what is public."""
    add_user(rig.engine, "Anna", "administrator")
    return rig.build_app(vault=VAULT, base_url=BASE, local=False)


Badge = Callable[..., TestResponse]


@pytest.fixture
def badge(app: Flask) -> Badge:
    client = app.test_client()

    def get(headers: dict[str, str] | None = None, **about: str) -> TestResponse:
        return client.get(f"/badge/{VAULT.sign('badge', about)}.svg", headers=headers)

    return get


def said(image: TestResponse) -> str:
    """By the image itself, for those who don't see it; and the same for those who do."""
    assert image.content_type == "image/svg+xml; charset=utf-8"
    root = ElementTree.fromstring(image.text)
    space = "{http://www.w3.org/2000/svg}"
    title = root.findtext(f"{space}title")
    assert isinstance(title, str)
    assert title == root.get("aria-label")
    assert root.get("role") == "img"
    assert ": ".join(text.text or "" for text in root.iter(f"{space}text")) == title
    return title


def colour(image: TestResponse) -> str:
    return str(re.findall(r'fill="(#\w{6})"', image.text)[1])


def test_a_sensors_badge_tells_its_status_to_everybody_without_a_cookie(
    rig: Rig, badge: Badge
) -> None:
    rig.configure(MAC, name="Boiler", site="Cellar")
    rig.beat(MAC)
    rig.judge()
    image = badge(sensor=ADDRESS, show="status")
    assert image.status_code == 200
    assert said(image) == "Boiler: up"
    assert "Set-Cookie" not in image.headers
    assert "Cookie" not in image.headers["Vary"]
    assert image.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert image.headers["Content-Security-Policy"].startswith("default-src 'none'")
    rig.open_incidents([MAC])
    rig.clock.ahead += MINUTE
    rig.judge()
    down = badge(sensor=ADDRESS, show="status")
    assert said(down) == "Boiler: down"
    assert colour(down) != colour(image)


def test_a_sensor_without_a_name_shows_only_the_end_of_its_address(rig: Rig, badge: Badge) -> None:
    rig.beat(MAC)
    rig.judge()
    assert said(badge(sensor=ADDRESS)) == "…00:00:0a: up"


def test_a_sites_badge_counts_the_worst_and_leaves_out_the_paused(rig: Rig, badge: Badge) -> None:
    for mac in range(1, 6):
        rig.configure(mac, site="North", paused=mac == 5)
    rig.configure(9, site="South")
    rig.beat(*range(1, 6), 9)
    rig.judge()
    assert said(badge(site="North")) == "North: 4 up"
    assert said(badge()) == "sensors: 5 up"
    rig.open_incidents([1, 9])
    rig.clock.ahead += MINUTE
    rig.judge()
    assert said(badge(site="North")) == "North: 1 of 4 down"
    assert said(badge()) == "sensors: 2 of 5 down"
    assert said(badge(site="Nowhere")) == "Nowhere: none"


@pytest.mark.parametrize("show", ["24h", "7d", "30d"])
def test_uptime_is_that_of_the_sensors_page(rig: Rig, badge: Badge, show: str) -> None:
    rig.configure(MAC, name="Boiler")
    rig.register(MAC)
    for ago in (*range(0, 61, 5), *range(180, 300, 5)):
        rig.beat(MAC, ago=ago * MINUTE)
    rig.judge()
    rig.clock.stop()  # Both are read at the same moment.
    line = uptime_bars.lines(rig.history().uptimes(MAC))[0]
    assert said(badge(sensor=ADDRESS, show=show)) == f"Boiler {show}: {line.percent}"
    assert line.percent not in (None, "100 %")


def test_an_uptime_no_one_knows_is_unknown(rig: Rig, badge: Badge) -> None:
    rig.judge()
    assert said(badge(sensor=ADDRESS, show="30d")) == "…00:00:0a 30d: unknown"


def test_nothing_is_told_as_if_it_were_known_while_monitoring_is_blind(
    rig: Rig, badge: Badge
) -> None:
    rig.configure(MAC, name="Boiler", site="Cellar")
    rig.beat(MAC)
    rig.judge(ago=MINUTE)
    for about in ({"sensor": ADDRESS}, {"site": "Cellar"}, {}):
        image = badge(**about)
        assert image.status_code == 200
        assert said(image).endswith(": unknown")


def test_a_store_that_cant_be_read_is_unknown_and_no_error(rig: Rig, badge: Badge) -> None:
    for path in rig.directory.glob("heartbeats.sqlite*"):
        path.unlink()
    (rig.directory / "heartbeats.sqlite").write_bytes(b"no database" * 1_000)
    for about in ({"sensor": ADDRESS}, {"sensor": ADDRESS, "show": "24h"}, {"site": "x"}, {}):
        image = badge(**about)
        assert image.status_code == 200
        assert said(image).endswith(": unknown")


def test_while_the_state_is_away_badges_are_unknown(
    rig: Rig, badge: Badge, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.configure(MAC, name="Boiler")
    rig.beat(MAC)
    rig.judge()
    assert said(badge(sensor=ADDRESS)) == "Boiler: up"

    def away(*_: object) -> Any:
        raise StateUnavailable("away")

    for room in ("web.grid.fleet", "analysis.evidence"):
        monkeypatch.setattr(f"monitor.{room}.reading", away)
    rig.clock.ahead += MINUTE
    for show in ("status", "24h"):
        assert said(badge(sensor=ADDRESS, show=show)).endswith(": unknown")


@pytest.mark.parametrize("signed", ["x", "e30.x", "ä", "%00", "e30", ".", "x" * 5_000])
def test_a_wrong_signature_is_not_found_and_says_so_as_an_image(app: Flask, signed: str) -> None:
    image = app.test_client().get(f"/badge/{signed}.svg")
    assert image.status_code == 404
    assert said(image) == "badge: not found"
    assert image.headers["Cache-Control"] == "no-store"


def test_a_token_signed_for_something_else_opens_no_badge(app: Flask) -> None:
    signed = VAULT.sign("acknowledge", {"sensor": ADDRESS})
    assert app.test_client().get(f"/badge/{signed}.svg").status_code == 404


def test_a_cache_asks_each_time_and_gets_the_image_only_when_it_changed(
    rig: Rig, badge: Badge
) -> None:
    rig.configure(MAC, name="Boiler")
    rig.beat(MAC)
    rig.judge()
    for encoding in ("identity", "gzip", "br"):
        first = badge({"Accept-Encoding": encoding}, sensor=ADDRESS)
        assert first.headers["Cache-Control"] == "no-cache, max-age=0"
        known = {"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]}
        again = badge(known, sensor=ADDRESS)
        assert (again.status_code, again.data) == (304, b"")
    rig.configure(MAC, name="Furnace")
    rig.clock.ahead += MINUTE
    rig.judge()
    assert said(badge({"If-None-Match": first.headers["ETag"]}, sensor=ADDRESS)) == "Furnace: up"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('<script>alert(1)</script>"&', '<script>alert(1)</script>"&'),
        ("a\x00b\x1b\ufffe", "ab"),
        ("x" * 200, "x" * 59 + "…"),
    ],
)
def test_whatever_a_name_is_it_stays_text_on_one_line(
    rig: Rig, badge: Badge, name: str, shown: str
) -> None:
    rig.configure(MAC, name=name)
    rig.beat(MAC)
    rig.judge()
    image = badge(sensor=ADDRESS)
    assert "<script" not in image.text
    assert said(image) == f"{shown}: up"


def test_the_width_is_that_of_the_text(rig: Rig, badge: Badge) -> None:
    def width(name: str) -> int:
        rig.configure(MAC, name=name)
        rig.clock.ahead += MINUTE
        rig.beat(MAC)
        rig.judge()
        found = ElementTree.fromstring(badge(sensor=ADDRESS).text).get("width")
        assert found is not None
        return int(found)

    assert width("iiii") < width("aaaa") < width("MMMM") < width("漢字漢字")
    assert width("e\u0301") == width("e")


def test_the_markdown_to_copy_leads_to_the_image(app: Flask) -> None:
    with app.test_request_context():
        make: Any = app.jinja_env.globals["badge"]
        offer = make("Hall [A] *1*", sensor=ADDRESS, show="7d")
    assert offer.markdown == rf"![Hall \[A\] \*1\*]({BASE}{offer.path})"
    signed = offer.path.removeprefix("/badge/").removesuffix(".svg")
    assert BadgeSubject(**(VAULT.verify("badge", signed) or {})) == BadgeSubject(
        ADDRESS, None, "7d"
    )
    assert app.test_client().get(offer.path).status_code == 200


def test_operators_find_badges_on_the_sensors_page_and_viewers_do_not(rig: Rig, app: Flask) -> None:
    rig.configure(MAC, name=NASTY)
    rig.beat(MAC)
    rig.judge()
    for role in ("viewer", "operator"):
        add_user(rig.engine, role, role)
    page = logged_in(app, "operator").get(f"/sensors/{ADDRESS}").text
    paths = re.findall(r'<img src="(/badge/[^"]+)"', page)
    assert len(paths) == 4
    assert "<script>alert" not in page
    shown = [said(app.test_client().get(path)) for path in paths]
    assert [one.partition(":")[0] for one in shown] == [
        NASTY,
        f"{NASTY} 24h",
        f"{NASTY} 7d",
        f"{NASTY} 30d",
    ]
    assert "/badge/" not in logged_in(app, "viewer").get(f"/sensors/{ADDRESS}").text
