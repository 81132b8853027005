"""The grid in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.model import HOUR, MINUTE, SECOND
from tests.web.browser import chromium, complaints_of
from tests.web.fleet_rig import Rig, Server, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=15_000)
    with chromium() as launched:
        yield launched


@pytest.fixture
def server(rig: Rig) -> Iterator[Server]:
    rig.judge()
    with serving(rig.app) as running:
        yield running


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    opened = context.new_page()
    heard = complaints_of(opened)
    yield opened
    complaints += heard
    context.close()
    # A server that a test stops refuses connections, or resets those it had.
    gone = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    assert [text for text in complaints if not text.endswith(gone)] == []


def show(page: Page, server: Server) -> None:
    """Open the grid and wait until its script has had the first answer."""
    page.goto(server.url)
    expect(page.locator("html")).to_have_attribute("data-live", re.compile("yes|no"))


def ask_again(rig: Rig, page: Page) -> None:
    """Let the server read anew, and the page poll now instead of in five seconds."""
    rig.clock.ahead += SECOND
    page.evaluate("window.dispatchEvent(new Event('online'))")


def names(page: Page) -> list[str]:
    return page.locator("#grid .name").all_text_contents()


def test_the_first_report_after_page_load_appears_without_a_reload(
    rig: Rig, server: Server, page: Page
) -> None:
    show(page, server)
    expect(page.get_by_text("No sensor has reported yet")).to_be_visible()
    page.evaluate("window.notReloaded = true")
    rig.beat(0x02_00_00_00_00_00)
    expect(page.get_by_text("02:00:00:00:00:00", exact=True)).to_be_visible(timeout=8_000)
    expect(page.get_by_text("No sensor has reported yet")).to_be_hidden()
    assert page.evaluate("window.notReloaded")


def test_a_name_is_only_text(rig: Rig, server: Server, page: Page) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    rig.configure(1, name=name, site="<b>bold</b>")
    rig.beat(1)
    show(page, server)
    assert names(page) == [name]
    assert page.locator("#grid script, #grid img, #grid b").count() == 0
    rig.configure(1, name=name + "2")
    ask_again(rig, page)
    expect(page.get_by_text(name + "2", exact=True)).to_be_visible()
    assert dialogs == []


def test_the_worst_come_first_and_the_counts_and_title_say_how_many(
    rig: Rig, server: Server, page: Page
) -> None:
    for mac, name in enumerate(["Gate 10", "gate 9", "Boiler", "Attic", "Old"], start=1):
        rig.configure(mac, name=name, paused=name == "Attic")
    rig.beat(1, 2, 4)
    rig.beat(3, ago=HOUR)
    show(page, server)
    assert names(page) == ["Boiler", "Old", "gate 9", "Gate 10", "Attic"]
    expect(page).to_have_title("1 unknown · heartbeat-monitor")
    rig.open_incidents([2, 3])
    ask_again(rig, page)
    expect(page).to_have_title("2 down · heartbeat-monitor")
    assert names(page) == ["Boiler", "gate 9", "Old", "Gate 10", "Attic"]
    counts = page.get_by_role("list", name="Sensors by status").get_by_role("listitem")
    assert counts.all_text_contents() != []
    expect(counts.nth(0)).to_have_text("2 down")
    expect(page.get_by_role("status")).to_have_text("2 down, 1 waiting, 1 up, 1 paused")
    rig.beat(2, 3)
    rig.close_incident(2)
    rig.close_incident(3)
    ask_again(rig, page)
    expect(page).to_have_title("1 waiting, 3 up, 1 paused · heartbeat-monitor")
    assert names(page) == ["Old", "Boiler", "gate 9", "Gate 10", "Attic"]


def test_silence_becomes_unknown_without_the_servers_help(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.configure(1, name="Boiler", threshold=3 * SECOND)
    rig.beat(1)
    show(page, server)
    expect(page.locator("#grid .up")).to_have_count(2)
    page.route("**/sensors*", lambda route: route.abort())
    expect(page.locator("#grid .status")).to_have_text("unknown")


def test_the_time_since_last_seen_ticks(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1, ago=10 * MINUTE - 30 * SECOND)
    rig.beat(2, ago=20 * SECOND)
    show(page, server)
    seen = page.locator("#grid time")
    expect(seen.nth(0)).to_have_text("9 min ago")
    first = seen.nth(1).text_content()
    expect(seen.nth(1)).not_to_have_text(first or "")
    expect(seen.nth(1)).to_have_text(re.compile(r"2\d s ago"))


def test_a_forgotten_sensor_leaves(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1, 2)
    rig.register(1, 2)
    show(page, server)
    rig.forget(1)
    ask_again(rig, page)
    expect(page.locator("#grid .name")).to_have_text(["00:00:00:00:00:02"])


def test_a_banner_says_that_the_server_is_gone_and_leaves_when_it_is_back(
    rig: Rig, server: Server, page: Page, complaints: list[str]
) -> None:
    rig.beat(1)
    show(page, server)
    banner = page.get_by_role("alert")
    expect(banner).to_be_hidden()
    server.stop()
    expect(banner).to_contain_text("The server can't be reached. What you see is from")
    expect(page.locator("html")).to_have_attribute("data-live", "no")
    server.start()
    rig.beat(2)
    expect(banner).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    expect(page.locator("#grid .name")).to_have_count(2)


def test_a_banner_says_that_monitoring_is_blind(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1)
    rig.judge(ago=16 * SECOND)
    show(page, server)
    expect(page.get_by_role("alert")).to_contain_text("Monitoring is blind since")
    rig.clock.ahead += SECOND
    rig.judge()
    ask_again(rig, page)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_hidden_page_asks_at_once_when_it_is_shown_again(
    rig: Rig, server: Server, page: Page
) -> None:
    show(page, server)
    rig.beat(1)
    rig.clock.ahead += SECOND
    with page.expect_response(re.compile("/sensors"), timeout=2_000):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#grid .name")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(
    rig: Rig, server: Server, browser: Browser, page: Page, scheme: str
) -> None:
    rig.configure(1, name="a very long name of a sensor that somebody typed " * 4)
    rig.beat(1, 2)
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    show(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert (brightness < 150) == (scheme == "dark")


def test_the_page_is_readable_without_a_script(rig: Rig, server: Server, browser: Browser) -> None:
    rig.configure(1, name="Boiler")
    rig.beat(1)
    context = browser.new_context(java_script_enabled=False)
    try:
        bare = context.new_page()
        bare.goto(server.url)
        grid = bare.get_by_role("list", name="Sensors, the worst first")
        expect(grid.get_by_role("listitem")).to_have_text(re.compile(r"Boiler\s+up\s+\d s ago"))
    finally:
        context.close()
