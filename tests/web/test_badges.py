"""Badges: their content, and access to them."""

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
    """A user exists, so requests without a login can open only public pages."""
    add_user(rig.engine, "Anna", "administrator")
    return rig.build_app(vault=VAULT, base_url=BASE, local=False)


Badge = Callable[..., TestResponse]


@pytest.fixture
def badge(app: Flask) -> Badge:
    client = app.test_client()

    def get(headers: dict[str, str] | None = None, **about: str) -> TestResponse:
        return client.get(f"/badge/{VAULT.sign('badge', about)}.svg", headers=headers)

    return get


def text_of(image: TestResponse) -> str:
    """The text of the image, which must equal its accessible name."""
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


def test_sensor_badge_shows_the_status_without_a_login_or_cookie(rig: Rig, badge: Badge) -> None:
    rig.configure(MAC, name="Boiler", site="Cellar")
    rig.beat(MAC)
    rig.judge()
    image = badge(sensor=ADDRESS, show="status")
    assert image.status_code == 200
    assert text_of(image) == "Boiler: up"
    assert "Set-Cookie" not in image.headers
    assert "Cookie" not in image.headers["Vary"]
    assert image.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert image.headers["Content-Security-Policy"].startswith("default-src 'none'")
    rig.open_incidents([MAC])
    rig.clock.ahead += MINUTE
    rig.judge()
    down = badge(sensor=ADDRESS, show="status")
    assert text_of(down) == "Boiler: down"
    assert colour(down) != colour(image)


def test_unnamed_sensor_is_shown_by_the_end_of_its_address(rig: Rig, badge: Badge) -> None:
    rig.beat(MAC)
    rig.judge()
    assert text_of(badge(sensor=ADDRESS)) == "…00:00:0a: up"


def test_site_badge_counts_the_worst_status_without_paused_sensors(rig: Rig, badge: Badge) -> None:
    for mac in range(1, 6):
        rig.configure(mac, site="North", paused=mac == 5)
    rig.configure(9, site="South")
    rig.beat(*range(1, 6), 9)
    rig.judge()
    assert text_of(badge(site="North")) == "North: 4 up"
    assert text_of(badge()) == "sensors: 5 up"
    rig.open_incidents([1, 9])
    rig.clock.ahead += MINUTE
    rig.judge()
    assert text_of(badge(site="North")) == "North: 1 of 4 down"
    assert text_of(badge()) == "sensors: 2 of 5 down"
    assert text_of(badge(site="Nowhere")) == "Nowhere: none"


@pytest.mark.parametrize("show", ["24h", "7d", "30d"])
def test_badge_uptime_equals_the_uptime_of_the_sensor_page(
    rig: Rig, badge: Badge, show: str
) -> None:
    rig.configure(MAC, name="Boiler")
    rig.register(MAC)
    for ago in (*range(0, 61, 5), *range(180, 300, 5)):
        rig.beat(MAC, ago=ago * MINUTE)
    rig.judge()
    rig.clock.stop()  # Both must be computed for the same time.
    line = uptime_bars.lines(rig.history().uptimes(MAC))[0]
    assert text_of(badge(sensor=ADDRESS, show=show)) == f"Boiler {show}: {line.percent}"
    assert line.percent not in (None, "100 %")


def test_uptime_of_a_sensor_without_heartbeats_is_unknown(rig: Rig, badge: Badge) -> None:
    rig.judge()
    assert text_of(badge(sensor=ADDRESS, show="30d")) == "…00:00:0a 30d: unknown"


def test_badges_are_unknown_while_monitoring_is_behind(rig: Rig, badge: Badge) -> None:
    rig.configure(MAC, name="Boiler", site="Cellar")
    rig.beat(MAC)
    rig.judge(ago=MINUTE)
    for about in ({"sensor": ADDRESS}, {"site": "Cellar"}, {}):
        image = badge(**about)
        assert image.status_code == 200
        assert text_of(image).endswith(": unknown")


def test_badges_are_unknown_while_the_store_is_unavailable(rig: Rig, badge: Badge) -> None:
    for path in rig.directory.glob("heartbeats.sqlite*"):
        path.unlink()
    (rig.directory / "heartbeats.sqlite").write_bytes(b"no database" * 1_000)
    for about in ({"sensor": ADDRESS}, {"sensor": ADDRESS, "show": "24h"}, {"site": "x"}, {}):
        image = badge(**about)
        assert image.status_code == 200
        assert text_of(image).endswith(": unknown")


def test_badges_are_unknown_while_the_state_is_unavailable(
    rig: Rig, badge: Badge, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.configure(MAC, name="Boiler")
    rig.beat(MAC)
    rig.judge()
    assert text_of(badge(sensor=ADDRESS)) == "Boiler: up"

    def unavailable(*_: object) -> Any:
        raise StateUnavailable("unavailable")

    for room in ("web.grid.fleet", "analysis.evidence"):
        monkeypatch.setattr(f"monitor.{room}.reading", unavailable)
    rig.clock.ahead += MINUTE
    for show in ("status", "24h"):
        assert text_of(badge(sensor=ADDRESS, show=show)).endswith(": unknown")


@pytest.mark.parametrize("signed", ["x", "e30.x", "ä", "%00", "e30", ".", "x" * 5_000])
def test_invalid_signature_returns_404_with_an_image(app: Flask, signed: str) -> None:
    image = app.test_client().get(f"/badge/{signed}.svg")
    assert image.status_code == 404
    assert text_of(image) == "badge: not found"
    assert image.headers["Cache-Control"] == "no-store"


def test_token_signed_for_another_purpose_returns_404(app: Flask) -> None:
    signed = VAULT.sign("acknowledge", {"sensor": ADDRESS})
    assert app.test_client().get(f"/badge/{signed}.svg").status_code == 404


def test_cached_badge_is_revalidated_and_returns_304_if_unchanged(rig: Rig, badge: Badge) -> None:
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
    assert text_of(badge({"If-None-Match": first.headers["ETag"]}, sensor=ADDRESS)) == "Furnace: up"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('<script>alert(1)</script>"&', '<script>alert(1)</script>"&'),
        ("a\x00b\x1b\ufffe", "ab"),
        ("x" * 200, "x" * 59 + "…"),
    ],
)
def test_name_is_escaped_and_truncated(rig: Rig, badge: Badge, name: str, shown: str) -> None:
    rig.configure(MAC, name=name)
    rig.beat(MAC)
    rig.judge()
    image = badge(sensor=ADDRESS)
    assert "<script" not in image.text
    assert text_of(image) == f"{shown}: up"


def test_width_follows_the_text(rig: Rig, badge: Badge) -> None:
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


def test_markdown_links_to_the_badge(app: Flask) -> None:
    with app.test_request_context():
        make: Any = app.jinja_env.globals["badge"]
        offer = make("Hall [A] *1*", sensor=ADDRESS, show="7d")
    assert offer.markdown == rf"![Hall \[A\] \*1\*]({BASE}{offer.path})"
    signed = offer.path.removeprefix("/badge/").removesuffix(".svg")
    assert BadgeSubject(**(VAULT.verify("badge", signed) or {})) == BadgeSubject(
        ADDRESS, None, "7d"
    )
    assert app.test_client().get(offer.path).status_code == 200


def test_sensor_page_offers_badges_to_operators_only(rig: Rig, app: Flask) -> None:
    rig.configure(MAC, name=NASTY)
    rig.beat(MAC)
    rig.judge()
    for role in ("viewer", "operator"):
        add_user(rig.engine, role, role)
    page = logged_in(app, "operator").get(f"/sensors/{ADDRESS}").text
    paths = re.findall(r'<img src="(/badge/[^"]+)"', page)
    assert len(paths) == 4
    assert "<script>alert" not in page
    shown = [text_of(app.test_client().get(path)) for path in paths]
    assert [one.partition(":")[0] for one in shown] == [
        NASTY,
        f"{NASTY} 24h",
        f"{NASTY} 7d",
        f"{NASTY} 30d",
    ]
    assert "/badge/" not in logged_in(app, "viewer").get(f"/sensors/{ADDRESS}").text
