"""The grid in a real browser: warnings if its data is not current."""

import re

from playwright.sync_api import Page, expect

from monitor.model import MINUTE, SECOND
from monitor.refusal import UNAUTHORIZED
from monitor.state import horizon
from monitor.state.database import writing
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import poll_now, show


def test_banner_is_shown_while_the_server_is_unreachable(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(1)
    show(page, server)
    banner = page.get_by_role("alert")
    expect(banner).to_be_hidden()
    server.stop()
    expect(banner).to_contain_text("The server can't be reached. This page shows data from")
    expect(page.locator("html")).to_have_attribute("data-live", "no")
    server.start()
    rig.beat(2)
    expect(banner).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    expect(page.locator("#grid .name")).to_have_count(2)


def test_banner_is_shown_while_monitoring_is_behind(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1)
    rig.judge(ago=16 * SECOND)
    show(page, server)
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("Monitoring has been behind since")
    expect(banner).to_contain_text("No sweep has completed since then.")
    with writing(rig.engine) as connection:
        horizon.record_hindrance(connection, "The scheduler's clock is wrong.")
    rig.clock.ahead += SECOND
    poll_now(rig, page)
    expect(banner).to_contain_text("The scheduler's clock is wrong.")
    with page.context.new_page() as without_script:
        without_script.route("**/*.js", lambda route: route.abort())
        without_script.goto(server.url)
        expect(without_script.get_by_role("alert")).to_contain_text("clock is wrong.")
    rig.clock.ahead += SECOND
    rig.judge()
    poll_now(rig, page)
    expect(banner).to_be_hidden()


def test_hidden_page_polls_at_once_when_it_is_shown_again(
    rig: Rig, server: Server, page: Page
) -> None:
    show(page, server)
    rig.beat(1)
    rig.clock.ahead += SECOND
    with page.expect_response(re.compile("/sensors"), timeout=2_000):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#grid .name")).to_have_count(1)


def test_cells_are_dimmed_and_show_times_while_the_server_is_unreachable(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(1)
    show(page, server)
    seen, cell = page.locator("#grid .seen"), page.locator("#grid .cell a")
    expect(seen).to_have_text(re.compile(r"^\d+ s ago$"))
    bright = cell.evaluate("cell => getComputedStyle(cell).backgroundColor")
    server.stop()
    expect(seen).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$|^\d{4}-\d\d-\d\d$"))
    assert cell.evaluate("cell => getComputedStyle(cell).backgroundColor") != bright
    server.start()
    expect(seen).to_have_text(re.compile(r"^\d+ s ago$"))


def test_page_is_not_live_after_sleep_until_the_next_response(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(1)
    show(page, server)
    page.route("**/sensors*", lambda _route: None)  # the next request hangs
    page.evaluate("const now = Date.now; Date.now = () => now() + 20_000")
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("The server has not answered yet.")
    expect(page.locator("html")).to_have_attribute("data-live", "no")
    page.unroute_all(behavior="ignoreErrors")


def test_banner_is_shown_after_the_login_has_ended(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1)
    show(page, server)
    refused = {"status": 401, "title": "Unauthorized", "detail": "a token is needed"}
    page.route("**/sensors*", lambda route: route.fulfill(status=401, json=refused))
    poll_now(rig, page)
    expect(page.get_by_role("alert")).to_contain_text("You are logged out. Reload this page")


def test_refused_heartbeats_are_shown_while_they_are_refused(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(1, ago=11 * MINUTE)
    rig.register(1)
    rig.refuse(1, UNAUTHORIZED, 300)
    show(page, server)
    told = page.get_by_role("region", name="Warnings")
    expect(told).to_have_text(
        "300 heartbeats refused (401) in the last minute: the token is missing or not valid."
    )
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    expect(page.locator("#grid .cell")).to_have_class(re.compile("unknown"))
    with page.context.new_page() as without_script:
        without_script.route("**/*.js", lambda route: route.abort())
        without_script.goto(server.url)
        expect(without_script.get_by_text("300 heartbeats refused (401)")).to_be_visible()
    rig.clock.ahead += 2 * MINUTE
    rig.judge()
    poll_now(rig, page)
    expect(told).to_be_hidden()
