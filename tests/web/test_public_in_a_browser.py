"""Public pages, their administration and badges in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from monitor.model import MINUTE
from monitor.state import public_pages
from monitor.state.database import reading, writing
from tests.ports import free_port
from tests.web.browser_pages import accessibility_violations, log_in
from tests.web.fleet_rig import Rig, Server
from tests.web.visitors import add_user

NASTY = "<script>alert(1)</script> " + "o" * 70


@pytest.fixture
def served(rig: Rig) -> Iterator[Server]:
    """Two sites, one of them with a down sensor, and the administrator Anna."""
    for mac in range(1, 9):
        site = "Harbour" if mac < 5 else NASTY
        rig.configure(mac, name=f"Pump {mac}" if mac < 8 else NASTY, site=site, paused=mac == 4)
    rig.register(*range(1, 9))
    rig.beat(*range(1, 9))
    rig.open_incidents([2])
    rig.judge()
    add_user(rig.engine, "Anna", "administrator")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = Server(rig.build_app(base_url=url, local=False))
    server.port = port
    server.start()
    yield server
    server.stop()


@pytest.fixture
def link(rig: Rig, served: Server) -> str:
    """The link of a page with all sensors."""
    with writing(rig.engine) as connection:
        number = public_pages.add(connection, "Plants of Example AG", None, True, 0)
        page = public_pages.get(connection, number)
    assert page is not None
    return f"{served.url}/public/{page.key}"


def open_administration(page: Page, server: Server) -> None:
    log_in(page, server.url, "anna", "/admin/public")
    expect(page.get_by_role("heading", name="Public pages")).to_be_visible()


def check_phone_layout(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, page.url
    assert accessibility_violations(page) == [], page.url


def test_page_refreshes_itself_and_warns_if_it_cannot(
    rig: Rig, served: Server, link: str, page: Page
) -> None:
    page.clock.install()
    page.goto(link)
    expect(page.locator(".summary")).to_have_text("1 of 8 sensors down")
    rig.close_incident(2)
    rig.clock.ahead += MINUTE
    rig.beat(*range(1, 9))
    rig.judge()
    page.clock.run_for(31_000)
    expect(page.locator(".summary")).to_have_text("7 of 8 sensors up, none down")
    expect(page.get_by_role("status")).to_have_text("7 of 8 sensors up, none down")
    expect(page).to_have_title("7 of 8 sensors up, none down · Plants of Example AG")
    expect(page.locator("#lost")).to_be_hidden()
    served.stop()
    page.clock.run_for(31_000)
    expect(page.get_by_role("alert")).to_contain_text(
        "The server can't be reached. This page shows data from"
    )
    served.start()
    page.clock.run_for(11_000)
    expect(page.locator("#lost")).to_be_hidden()


def test_page_without_scripts_shows_the_same(rig: Rig, link: str, page: Page) -> None:
    context = page.context.browser
    assert context is not None
    plain = context.new_context(java_script_enabled=False)
    opened = plain.new_page()
    opened.goto(link)
    expect(opened.locator(".summary")).to_have_text("1 of 8 sensors down")
    expect(opened.locator(".lines li").first).to_contain_text("Pump 2")
    plain.close()


def test_page_is_created_and_opened_and_its_badge_shown(
    rig: Rig, served: Server, page: Page
) -> None:
    open_administration(page, served)
    page.get_by_label("Title").fill("Harbour only")
    page.get_by_label("All sensors", exact=True).uncheck()
    page.get_by_label("Harbour", exact=True).check()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_have_text(
        "Harbour only created. Anyone with its link can see it."
    )
    page.get_by_text("All sensors, and each site").click()
    badge = page.get_by_role("img", name="Harbour")
    expect(badge).to_be_visible()
    page.wait_for_function("[...document.images].every((one) => one.complete && one.naturalWidth)")
    page.get_by_text("Harbour only", exact=True).click()
    page.get_by_role("link", name="Open").click()
    expect(page.get_by_role("heading", name="Harbour only")).to_be_visible()
    expect(page.locator(".summary")).to_have_text("1 of 4 sensors down")
    with reading(rig.engine) as connection:
        (made,) = public_pages.listed(connection)
    assert page.url == f"{served.url}/public/{made.key}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_on_a_phone(
    served: Server, link: str, page: Page, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(link)
    check_phone_layout(page)
    open_administration(page, served)
    page.locator(".people summary").first.click()
    page.get_by_text("All sensors, and each site").click()
    check_phone_layout(page)
    page.goto(f"{served.url}/sensors/00:00:00:00:00:02")
    page.get_by_text("Badge", exact=True).click()
    page.wait_for_load_state("networkidle")
    check_phone_layout(page)
