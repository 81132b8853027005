"""The page of one sensor in a real browser: its chart is drawn, read and zoomed."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat, Seen
from monitor.state import horizon
from monitor.state.database import writing
from tests.cases import Cases
from tests.ports import free_port
from tests.web.fleet_rig import THRESHOLD, Rig, Server
from tests.web.visitors import PASSWORD, add_user

MAC = 0x02_00_00_00_00_0A
PATH = "/sensors/02:00:00:00:00:0a"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def sensor(rig: Rig) -> Iterator[Server]:
    """A heartbeat every five minutes for two days, except in an outage and in a blind window."""
    now = rig.clock.now()
    rig.configure(MAC, name=NASTY, site="Harbour", labels={"note": NASTY})
    rig.register(MAC)
    outage, blind = (now - 12 * HOUR, now - 9 * HOUR), (now - 5 * HOUR, now - 4 * HOUR)
    times = [
        at
        for at in range(now - 2 * DAY, now, 5 * MINUTE)
        if not any(start < at < stop for start, stop in (outage, blind))
    ]
    rig.writer.append([Heartbeat(MAC, at, at, True, {"battery": 3.5}) for at in times])
    rig.writer.announce("a", now, [Seen(MAC, times[-1], True)])
    with writing(rig.engine) as connection:
        horizon.record_blind_windows(connection, [blind])
    cases = Cases(rig.engine, now)
    opened = {"last_seen": outage[0], "opened_at": outage[0] + THRESHOLD}
    ended = {"closed_at": outage[1], "recovered_at": outage[1], "closed_reason": "recovered"}
    cases.incident(MAC, cases.group(), **opened, **ended)
    rig.judge()
    url = f"http://127.0.0.1:{free_port()}"
    app = rig.build_app(base_url=url)
    server = Server(app)
    server.port = int(url.rpartition(":")[2])
    server.start()
    yield server
    server.stop()


def shown(page: Page) -> tuple[float, float]:
    """The start and the end of the chart."""
    text = page.locator("#plot").get_attribute("data-shown") or ""
    start, stop = text.split("-")
    return float(start), float(stop)


def opened(page: Page, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}{PATH}{query}")
    expect(page.locator("#plot[data-shown]")).to_be_visible()


def wait_for_other(page: Page, before: tuple[float, float]) -> tuple[float, float]:
    """Wait until the chart has another range; the new one."""
    was = f"{before[0]:.0f}-{before[1]:.0f}"
    expect(page.locator("#plot")).not_to_have_attribute("data-shown", was)
    return shown(page)


def test_chart_draws_heartbeats_silences_incidents_and_a_metric(sensor: Server, page: Page) -> None:
    opened(page, sensor)
    expect(page.locator(".plot .beats")).to_have_attribute("d", re.compile("^(M[^z]+z){100,}$"))
    expect(page.locator(".plot .shade.down")).to_have_count(1)
    expect(page.locator(".plot .shade.unknown")).to_have_count(1)
    expect(page.locator(".plot .shade.blind")).to_have_count(1)
    expect(page.locator(".plot .flag")).to_have_count(1)
    expect(page.locator(".plot .mean")).to_have_count(0)
    page.get_by_label("Metric").select_option("battery")
    expect(page.locator(".plot .mean")).to_have_count(3)
    assert parse_qs(urlsplit(page.url).query) == {"metric": ["battery"]}


def test_dragging_zooms_and_going_back_restores_the_range(sensor: Server, page: Page) -> None:
    opened(page, sensor)
    whole = shown(page)
    page.locator("#plot").scroll_into_view_if_needed()
    box = page.locator("#plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=4)
    page.mouse.up()
    start, stop = wait_for_other(page, whole)
    assert 0.15 * DAY < stop - start < 0.25 * DAY
    query = parse_qs(urlsplit(page.url).query)
    assert query.keys() == {"from", "to"}
    expect(page.locator("[data-span][aria-pressed=true]")).to_have_count(0)
    expect(page.get_by_role("button", name="Later")).to_be_enabled()
    page.reload()
    expect(page.locator("#plot[data-shown]")).to_be_visible()
    assert shown(page) == (start, stop)
    page.go_back()
    start, stop = wait_for_other(page, (start, stop))
    # The server leaves out time that its own clock has not reached yet.
    assert DAY - SECOND < stop - start <= DAY
    assert urlsplit(page.url).query == ""


def test_chart_is_read_moved_and_zoomed_with_the_keyboard(sensor: Server, page: Page) -> None:
    opened(page, sensor, "?metric=battery")
    plot = page.get_by_role("slider", name="History")
    plot.focus()
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowRight")
    expect(plot).to_have_attribute("aria-valuenow", "1")
    expected = re.compile(r": 1 heartbeat · battery 3\.5$")
    expect(plot).to_have_attribute("aria-valuetext", expected)
    expect(page.locator("#readout")).to_have_text(expected)
    whole = shown(page)
    page.keyboard.press("+")
    half = wait_for_other(page, whole)
    assert half[1] - half[0] == pytest.approx(DAY / 2, rel=0.01)
    page.keyboard.press("Shift+ArrowLeft")
    earlier = wait_for_other(page, half)
    assert earlier[0] - half[0] == pytest.approx(-DAY / 8, rel=0.01)
    page.keyboard.press("Escape")
    assert wait_for_other(page, earlier)[1] >= whole[1]
    page.get_by_role("button", name="7 d").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?span=7d&metric=battery$|\?metric=battery&span=7d$"))
    expect(page.get_by_role("button", name="7 d")).to_have_attribute("aria-pressed", "true")


def test_tables_show_the_data_of_the_chart_and_all_heartbeats(sensor: Server, page: Page) -> None:
    opened(page, sensor)
    page.get_by_text("Show as a table").click()
    spans = page.get_by_role("table", name="Time that was not up").get_by_role("row")
    expect(spans).to_have_count(4)
    expect(spans.nth(1)).to_contain_text(re.compile(r"^Down.*3 h$"))
    expect(page.get_by_role("table", name="Heartbeats")).to_be_visible()
    page.get_by_text("All heartbeats, newest first").click()
    lines = page.locator("#beats tbody tr")
    expect(lines).to_have_count(50)
    expect(lines.first).to_contain_text("battery 3.5")
    page.locator("#beats").get_by_role("button", name="Earlier heartbeats").click()
    expect(lines).to_have_count(100)


def test_status_is_updated_without_a_reload_and_the_page_warns_if_it_cannot(
    rig: Rig, sensor: Server, page: Page
) -> None:
    opened(page, sensor)
    expect(page.locator("#status")).to_contain_text("up, reported within the threshold")
    rig.open_incidents([MAC])
    rig.judge()
    expect(page.locator("#status")).to_contain_text("down, no heartbeat for longer")
    expect(page).to_have_title(re.compile(r"down · heartbeat-monitor$"))
    assert "UTC)" in (page.locator("#seen time").get_attribute("title") or "")
    sensor.stop()
    expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    sensor.start()
    rig.judge()
    expect(page.get_by_text("can't be reached")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_accessible_on_a_phone(sensor: Server, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 360, "height": 740})
    opened(page, sensor, "?metric=battery")
    page.get_by_text("Show as a table").click()
    page.get_by_text("All heartbeats, newest first").click()
    expect(page.locator("#beats tbody tr")).to_have_count(50)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert page.get_by_role("heading", level=2).inner_text() == NASTY


def test_page_without_scripts_shows_uptime_and_outages(sensor: Server, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{sensor.url}{PATH}")
    expect(page.locator(".uptime li")).to_have_count(4)
    expect(page.locator(".uptime li").first).to_contain_text(
        re.compile(r"24 hours\s+8\d\.\d+ %.*down 3 h.*unknown 1 h", re.DOTALL)
    )
    outage = page.locator("summary", has_text="Silent since")
    expect(outage).to_contain_text("for 3 h; recovered")
    expect(page.locator("#history")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_operator_renames_a_sensor_and_must_confirm_its_removal(
    rig: Rig, sensor: Server, page: Page, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 360, "height": 740})
    add_user(rig.engine, "Olga", "operator")
    page.goto(f"{sensor.url}/login?next={PATH}")
    page.get_by_label("Name or email").fill("Olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Edit").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    page.get_by_label("Name", exact=True).fill("Boiler & <b>")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Boiler & <b>")
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("button", name="Remove").click()
    expect(page).to_have_url(re.compile("/edit$"))  # the browser requires the checkbox
    page.get_by_label("Yes, remove").check()
    page.get_by_role("button", name="Remove").click()
    expect(page).to_have_url(f"{sensor.url}/")


def test_chart_of_a_new_sensor_appears_after_its_registration(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.beat(MAC)
    page.clock.install()
    page.goto(f"{server.url}{PATH}")
    expect(page.get_by_text("No data yet")).to_be_visible()
    expect(page.get_by_role("heading", name="History")).to_be_hidden()
    rig.register(MAC)
    page.clock.run_for(11_000)
    expect(page.locator("#plot[data-shown]")).to_be_visible()
