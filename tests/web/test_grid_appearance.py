"""The grid in a real browser: colour schemes, phones, print, accessibility, no scripts."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from monitor.model import HOUR, MINUTE
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import show

SCHEMES = ("light", "dark")


@pytest.fixture
def varied_fleet(rig: Rig) -> None:
    """A sensor of each status, with and without a site, with names that are hard to show."""
    rig.configure(1, name="a very long name of a sensor that somebody typed " * 4, site="Harbour")
    rig.configure(2, name="<script>alert(1)</script>", site="<b>bold</b>" * 15)
    rig.configure(3, name="Attic", labels={"floor": "3", "crew": "night" * 30})
    rig.configure(4, name="Old", site="Harbour")
    rig.configure(5, name="Spare", site="Harbour", paused=True)
    rig.beat(1, 2, 6)
    rig.beat(3, ago=HOUR)
    rig.beat(1, ago=11 * MINUTE)
    rig.open_incidents([1])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("address", ["/", "/?q=attic&group=none", "/?q=nothing"])
def test_grid_is_accessible(
    varied_fleet: None, server: Server, page: Page, scheme: str, address: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    show(page, server, address)
    assert violations(page) == []


def test_grid_is_accessible_while_the_server_is_unreachable(
    varied_fleet: None, server: Server, page: Page
) -> None:
    show(page, server)
    server.stop()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_grid_fits_a_phone(varied_fleet: None, server: Server, page: Page, scheme: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    show(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#grid").get_attribute("aria-colcount") == "1"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert (brightness < 150) == (scheme == "dark")
    assert violations(page) == []


def test_search_stays_visible_on_a_phone_when_the_title_scrolls_out(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(*range(100))
    page.set_viewport_size({"width": 360, "height": 740})
    show(page, server)
    page.evaluate("window.scrollTo(0, 2000)")
    expect(page.get_by_label("Search")).to_be_in_viewport()
    expect(page.get_by_role("heading", name="heartbeat-monitor")).not_to_be_in_viewport()


def test_page_without_scripts_shows_the_same(
    varied_fleet: None, server: Server, page: Page, browser: Browser
) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        bare = context.new_page()
        bare.goto(server.url)
        show(page, server)
        for part in (".name", ".status", ".site .of", ".pill:not([hidden])"):
            texts = [
                normalized(text)
                for text in bare.locator(f"#top, #grid >> {part}").all_text_contents()
            ]
            assert texts == [normalized(text) for text in page.locator(part).all_text_contents()], (
                part
            )
        expect(bare.get_by_role("listitem").filter(has_text="Attic")).to_have_text(
            re.compile(r"Attic\s+60 min ago|Attic\s+1 h ago\s+unknown")
        )
    finally:
        context.close()


def test_whole_fleet_is_printed(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(*range(300))
    show(page, server)
    assert page.locator("#grid .cell").count() < 200
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#grid .cell")).to_have_count(300)
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator("#grid .cell")).not_to_have_count(300)


def normalized(text: str) -> str:
    return " ".join(text.split())


def violations(page: Page) -> list[str]:
    """Axe's serious and critical violations."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
