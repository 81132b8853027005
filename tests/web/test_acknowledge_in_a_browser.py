"""The page of a message's link, and a sensor's page, on a phone in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.model import MINUTE
from monitor.outbox import acknowledge_link
from monitor.state.database import reading
from monitor.state.tables import incident, silence
from monitor.vault import Vault
from tests.cases import Cases
from tests.web.browser import errors_of
from tests.web.fleet_rig import Rig, serving

VAULT = Vault("k" * 32)
MAC = 0x02_00_00_00_00_0A


@pytest.fixture(params=["light", "dark"])
def phone(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=request.param
    )
    page = context.new_page()
    page_errors = errors_of(page)
    yield page
    context.close()
    assert page_errors == []


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    app = rig.build_app(vault=VAULT)
    with serving(app) as server:
        yield server.url


def two_silent(rig: Rig) -> int:
    """Write a message about two silent sensors; its id."""
    cases = Cases(rig.engine, rig.clock.now())
    rig.configure(MAC, name="Boiler " * 20, site="Harbour", labels={"crew": "B" * 60})
    rig.beat(MAC, ago=11 * MINUTE)
    rig.judge()
    group = cases.group()
    numbers = [
        cases.incident(MAC, group, last_seen=cases.now - 11 * MINUTE),
        cases.incident(MAC + 1, group),
    ]
    subject = "2 of 230 sensors at Harbour silent since 14:03 UTC"
    tries = [
        (cases.now + MINUTE, "retry", "451 4.3.0 " + "x" * 80),
        (cases.now + 2 * MINUTE, "sent", None),
    ]
    return cases.message(
        group, numbers, tries, state="sent", finished_at=cases.now, body={"subject": subject}
    )


def check_layout(page: Page) -> None:
    """Assert that the page fits the phone and has the requested colour scheme."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (brightness < 150) == dark


def test_incidents_are_acknowledged_on_a_phone(rig: Rig, url: str, phone: Page) -> None:
    phone.goto(acknowledge_link.links(VAULT, url)(two_silent(rig), "email", rig.clock.now()))
    expect(phone.get_by_role("heading", level=2)).to_have_text(re.compile("2 of 230 sensors"))
    check_layout(phone)
    for name in ("Acknowledge", "Silence for 4 hours"):
        box = phone.get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 740
    phone.get_by_role("button", name="Acknowledge").click()
    expect(phone.get_by_role("status")).to_have_text(
        "All of these incidents are acknowledged or closed."
    )
    expect(phone.get_by_text("Acknowledged (2)")).to_be_visible()
    with reading(rig.engine) as connection:
        by = connection.execute(incident.select()).all()
    assert {row.acknowledged_by for row in by} == {"email by link"}
    phone.reload()
    expect(phone.get_by_text("Acknowledged (2)")).to_be_visible()


def test_incidents_are_silenced_with_the_keyboard(rig: Rig, url: str, phone: Page) -> None:
    phone.goto(acknowledge_link.links(VAULT, url)(two_silent(rig), "email", rig.clock.now()))
    phone.keyboard.press("Tab")
    expect(phone.get_by_role("button", name="Acknowledge")).to_be_focused()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("status")).to_have_text(re.compile("Silenced until .*20"))
    with reading(rig.engine) as connection:
        (row,) = connection.execute(silence.select()).all()
    assert row.created_by == "email by link"


def test_sensor_page_fits_a_phone(rig: Rig, url: str, phone: Page) -> None:
    two_silent(rig)
    phone.goto(f"{url}/sensors/02:00:00:00:00:0a")
    expect(phone.get_by_text("down, no heartbeat for longer than")).to_be_visible()
    expect(phone.get_by_text("the alert was sent (attempt 2)")).to_be_visible()
    check_layout(phone)
    phone.get_by_role("link", name="heartbeat-monitor").click()
    expect(phone.locator("#grid .name")).to_have_count(1)
