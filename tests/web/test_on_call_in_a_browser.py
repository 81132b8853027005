"""Incidents on the grid and on a sensor's page: status, acknowledging and silencing."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from monitor.model import HOUR, MINUTE, SECOND
from monitor.services import incidents
from monitor.state import silences
from monitor.state.database import writing
from tests.cases import Cases
from tests.web.browser_pages import check_page, log_in, serving_with_login
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import cell, poll_now, show
from tests.web.visitors import add_user

BOILER, PUMP, GATE, FAN = (0x02_00_00_00_00_0A + n for n in range(4))
ADDRESS = "/sensors/02:00:00:00:00:0a"
SITE = "Hall A & B"


class Numbers(NamedTuple):
    boiler: int
    pump: int


@pytest.fixture
def numbers(rig: Rig) -> Numbers:
    """The incidents: boiler and pump are down at the same site, gate and fan are up."""
    for mac, name in ((BOILER, "Boiler"), (PUMP, "Pump"), (GATE, "Gate")):
        rig.configure(mac, name=name, site=SITE)
    rig.configure(FAN, name="Fan")
    rig.beat(GATE, FAN)
    rig.beat(BOILER, PUMP, ago=11 * MINUTE)
    cases = Cases(rig.engine, rig.clock.now())
    group = cases.group(f"site:{SITE}")
    return Numbers(cases.incident(BOILER, group), cases.incident(PUMP, group))


@pytest.fixture
def served(rig: Rig, numbers: Numbers) -> Iterator[Server]:
    rig.judge()
    add_user(rig.engine, "Olga", "operator")
    add_user(rig.engine, "Vera", "viewer")
    with serving_with_login(rig) as server:
        yield server


def mute(rig: Rig, *matchers: str) -> None:
    now = rig.clock.now()
    with writing(rig.engine) as connection:
        silences.add_silence(connection, list(matchers), now, now + HOUR, "painting", "Olga", now)


def test_grid_shows_acknowledged_and_muted_sensors(
    rig: Rig, numbers: Numbers, served: Server, page: Page
) -> None:
    log_in(page, served.url, "olga")
    show(page, served)
    boiler, pump = cell(page, "Boiler"), cell(page, "Pump")
    expect(boiler.get_by_text("acknowledged")).to_be_hidden()
    loud = boiler.evaluate("(one) => getComputedStyle(one).backgroundColor")
    incidents.acknowledge(rig.engine, "Olga", [numbers.boiler], rig.clock.now())
    mute(rig, "name=Pump")
    poll_now(rig, page)
    expect(boiler.locator(".about")).to_have_text("down · acknowledged", use_inner_text=True)
    expect(pump.locator(".about")).to_have_text("down · muted", use_inner_text=True)
    for answered in (boiler, pump):
        shown = answered.locator(".about").evaluate("(one) => one.scrollWidth <= one.clientWidth")
        assert shown, "the words are cut"
        assert answered.evaluate("(one) => getComputedStyle(one).backgroundColor") != loud


def test_grid_without_scripts_shows_acknowledged_sensors(
    rig: Rig, numbers: Numbers, served: Server, page: Page
) -> None:
    incidents.acknowledge(rig.engine, "Olga", [numbers.boiler], rig.clock.now())
    assert page.context.browser is not None
    plain = page.context.browser.new_context(java_script_enabled=False)
    opened = plain.new_page()
    log_in(opened, served.url, "vera")
    expect(cell(opened, "Boiler").locator(".known")).to_be_visible()
    expect(cell(opened, "Pump").locator(".known")).to_be_hidden()
    plain.close()


@pytest.mark.parametrize("what", ["Silence", "Maintenance"])
def test_site_heading_offers_silence_and_maintenance(served: Server, page: Page, what: str) -> None:
    log_in(page, served.url, "olga")
    show(page, served)
    expect(page.locator("#grid").get_by_role("link", name=re.compile("Silence at"))).to_have_count(
        1
    )
    page.get_by_role("link", name=f"{what} at {SITE}").click()
    expect(page.get_by_role("heading", level=2)).to_have_text(re.compile(what))
    expect(page.get_by_role("textbox", name="Sensors")).to_have_value(f"site={SITE}")


def test_viewer_has_no_links_or_buttons_for_changes(served: Server, page: Page) -> None:
    log_in(page, served.url, "vera")
    show(page, served)
    expect(cell(page, "Boiler")).to_be_visible()
    expect(page.locator("#grid").get_by_role("link", name=re.compile("Silence"))).to_have_count(0)
    page.goto(served.url + ADDRESS)
    expect(page.get_by_role("heading", name="Incident 1")).to_be_visible()
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)


def test_down_sensor_is_acknowledged_and_silenced_on_its_page(served: Server, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    log_in(page, served.url, "olga", ADDRESS)
    button = page.get_by_role("button", name="Acknowledge")
    box = button.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 740
    status = page.locator("#status")
    expect(status).not_to_contain_text("acknowledged")
    button.click()
    expect(page).to_have_url(served.url + ADDRESS)
    expect(page.get_by_text("1 incident acknowledged.")).to_be_visible()
    expect(status).to_have_text(re.compile("down, .* acknowledged"))
    expect(page.locator(".now")).to_contain_text("acknowledged by Olga")
    expect(button).to_have_count(0)
    page.get_by_label("Reason").fill("painting")
    page.get_by_role("button", name="Silence").click()
    expect(page).to_have_url(served.url + ADDRESS)
    expect(status).to_have_text(re.compile("down, .* acknowledged .*muted"))
    expect(page.get_by_text(re.compile("no messages until .*painting"))).to_be_visible()


def test_up_sensor_has_no_incident_at_the_top(rig: Rig, served: Server, page: Page) -> None:
    mute(rig, "name=Gate")
    rig.clock.ahead += SECOND
    log_in(page, served.url, "olga", "/sensors/02:00:00:00:00:0c")
    expect(page.locator("#status")).to_have_text(re.compile("up, .*muted"))
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    page.get_by_role("link", name="Silence").click()
    expect(page.get_by_role("textbox", name="Sensors")).to_have_value("mac=02:00:00:00:00:0c")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_are_accessible_and_fit_the_width(
    rig: Rig, numbers: Numbers, served: Server, page: Page, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    log_in(page, served.url, "olga", ADDRESS)
    expect(page.locator("#plot svg")).to_be_visible()
    check_page(page, f"down-{scheme}")
    incidents.acknowledge(rig.engine, "Olga", [numbers.boiler], rig.clock.now())
    mute(rig, "name=Pump|Gate")
    rig.clock.ahead += SECOND
    show(page, served)
    check_page(page, f"grid-{scheme}")
