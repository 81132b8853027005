"""The grid in a real browser: live updates."""

import re

from playwright.sync_api import Browser, Page, Route, expect

from monitor.model import HOUR, MINUTE, SECOND
from monitor.state import silences
from monitor.state.database import writing
from tests.time_formats import ZONES, other_formats
from tests.waiting import eventually
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import cell, names, poll_now, show
from tests.web.test_grid_silences import silence


def test_first_heartbeat_appears_without_a_reload(rig: Rig, server: Server, page: Page) -> None:
    show(page, server)
    expect(page.get_by_text("No sensor has reported yet")).to_be_visible()
    page.evaluate("window.notReloaded = true")
    rig.beat(0x02_00_00_00_00_00)
    expect(page.get_by_text("02:00:00:00:00:00", exact=True)).to_be_visible(timeout=8_000)
    expect(page.get_by_text("No sensor has reported yet")).to_be_hidden()
    assert page.evaluate("window.notReloaded")


def test_resize_before_the_first_response_keeps_the_html_of_the_server(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(1)
    held: list[Route] = []
    page.route("**/sensors*", lambda route: held.append(route))
    page.goto(server.url)
    eventually(lambda: bool(page.evaluate("1")) and bool(held))
    page.set_viewport_size({"width": 360, "height": 640})
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.locator("#grid").get_attribute("aria-rowcount") is None
    expect(page.locator("#grid .cell")).to_be_visible()
    assert page.locator("#grid").evaluate("(grid) => grid.clientHeight") > 0
    held[0].continue_()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "1")


def test_names_are_shown_as_text(rig: Rig, server: Server, page: Page) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    rig.configure(1, name=name, site="<b>bold</b>")
    rig.beat(1)
    show(page, server)
    assert names(page) == [name]
    assert page.locator("#grid script, #grid img, #grid b").count() == 0
    rig.configure(1, name=name + "2")
    poll_now(rig, page)
    expect(page.get_by_text(name + "2", exact=True)).to_be_visible()
    assert dialogs == []


def test_worst_status_is_first_and_counts_and_title_are_updated(
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
    poll_now(rig, page)
    expect(page).to_have_title("2 down · heartbeat-monitor")
    assert names(page) == ["Boiler", "gate 9", "Old", "Gate 10", "Attic"]
    expect(page.get_by_role("checkbox", name="2 down")).to_be_visible()
    expect(page.get_by_role("checkbox", name="unknown")).to_be_hidden()
    expect(page.locator("#announcement")).to_have_text("2 down")
    expect(page.locator("#icon")).to_have_attribute("href", "/icon/2.svg")
    rig.beat(2, 3)
    rig.close_incident(2)
    rig.close_incident(3)
    poll_now(rig, page)
    expect(page).to_have_title("1 waiting, 3 up, 1 paused · heartbeat-monitor")
    assert names(page) == ["Old", "Boiler", "gate 9", "Gate 10", "Attic"]


def test_silent_sensor_becomes_unknown_without_the_server(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.configure(1, name="Boiler", threshold=3 * SECOND)
    rig.beat(1)
    show(page, server)
    expect(page.locator("#grid .cell.up")).to_have_count(1)
    page.route("**/sensors*", lambda route: route.abort())
    expect(page.locator("#grid .status")).to_have_text("unknown")


def test_time_since_last_seen_is_updated(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1, ago=10 * MINUTE - 30 * SECOND)
    rig.beat(2, ago=20 * SECOND)
    show(page, server)
    seen = page.locator("#grid time")
    expect(seen.nth(0)).to_have_text("9 min ago")
    first = seen.nth(1).text_content()
    expect(seen.nth(1)).not_to_have_text(first or "")
    expect(seen.nth(1)).to_have_text(re.compile(r"2\d s ago"))


def test_forgotten_sensor_disappears(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(1, 2)
    rig.register(1, 2)
    show(page, server)
    rig.forget(1)
    poll_now(rig, page)
    expect(page.locator("#grid .name")).to_have_text(["00:00:00:00:00:02"])


def test_cell_of_a_down_sensor_changes_without_a_reload(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.configure(1, name="Boiler")
    rig.beat(1)
    show(page, server)
    page.evaluate("window.notReloaded = true")
    expect(cell(page, "Boiler").locator(".status")).to_have_text("up")
    rig.open_incidents([1])
    expect(cell(page, "Boiler").locator(".status")).to_have_text("down", timeout=8_000)
    expect(page.locator("#grid .cell.down")).to_have_count(1)
    assert page.evaluate("window.notReloaded")


def test_silence_is_shown_with_its_reason_until_it_ends(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.configure(1, name="Boiler", site="Harbour")
    rig.beat(1)
    show(page, server)
    expect(page.locator("#grid .hush")).to_be_hidden()
    number = silence(rig, "site=Harbour")
    poll_now(rig, page)
    muted = page.locator("#grid .hush")
    expect(muted).to_contain_text("muted")
    expect(muted).to_have_attribute("title", re.compile("silence"))
    with writing(rig.engine) as connection:
        silences.end_silence(connection, number, rig.clock.now())
    poll_now(rig, page)
    expect(muted).to_be_hidden()


def test_times_are_in_the_zone_of_the_viewer_with_utc_in_the_title(
    rig: Rig, server: Server, browser: Browser
) -> None:
    rig.beat(1)
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    try:
        far = context.new_page()
        show(far, server)
        far.locator("#grid time").hover()
        title = far.locator("#grid time").get_attribute("title") or ""
        assert re.search(r"GMT\+9 \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)", title)
        shown = far.locator("body").inner_text()
        assert ZONES.findall(shown) == ["GMT+9"]
        assert not other_formats(shown)
    finally:
        context.close()


def test_sparklines_of_visible_cells_are_loaded_in_one_request_and_drawn(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(1, 2)
    asked: list[str] = []

    def history(route: Route) -> None:
        asked.append(route.request.url)
        counts = [15, 14] * 24 + [0] * 24 + [15] * 24
        beats = {"00:00:00:00:00:01": counts, "00:00:00:00:00:02": [0] * 96}
        start = "2026-11-23T03:00:00.000Z"
        route.fulfill(json={"start": start, "every_seconds": 900, "beats": beats})

    page.route("**/api/v1/sparklines*", history)
    show(page, server)
    drawn = page.locator("#grid .spark path")
    expect(drawn.nth(0)).to_have_attribute("d", "M0 20V1H48V20ZM72 20V1H96V20Z")
    expect(drawn.nth(1)).to_have_attribute("d", "")
    macs = [url.partition("macs=")[2] for url in asked]
    assert macs == ["000000000001,000000000002&hours=24"]
