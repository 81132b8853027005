"""The grid in a real browser: search, filters, order, and the URL that keeps them."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.model import HOUR
from tests.waiting import eventually
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import names, poll_now, show


@pytest.fixture(autouse=True)
def fleet(rig: Rig) -> None:
    rig.configure(0x02_00_00_00_0A_01, name="Boiler", site="Harbour", labels={"floor": "1"})
    rig.configure(0x02_00_00_00_0A_02, name="Gate 10", site="Harbour", labels={"floor": "2"})
    rig.configure(0x02_00_00_00_0A_03, name="Gate 9", site="Südbahnhof", labels={"crew": "night"})
    rig.configure(0x02_00_00_00_0B_04, name="Attic")
    rig.beat(*range(0x02_00_00_00_0A_01, 0x02_00_00_00_0A_04))
    rig.beat(0x02_00_00_00_0B_04, ago=HOUR)


def address(page: Page) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(page.url).query)


def sites(page: Page) -> list[str]:
    return page.locator("#grid .site .of").all_text_contents()


def test_sites_are_groups_sorted_by_worst_status_or_by_name(
    rig: Rig, server: Server, page: Page
) -> None:
    show(page, server)
    assert sites(page) == ["No site", "Harbour", "Südbahnhof"]
    assert names(page) == ["Attic", "Boiler", "Gate 10", "Gate 9"]
    expect(page.get_by_role("rowheader", name="Harbour 2", exact=True)).to_be_visible()
    rig.open_incidents([0x02_00_00_00_0A_02])
    poll_now(rig, page)
    expect(page.get_by_role("rowheader", name="Harbour 2 1 down", exact=True)).to_be_visible()
    assert sites(page) == ["Harbour", "No site", "Südbahnhof"]
    assert names(page) == ["Gate 10", "Boiler", "Attic", "Gate 9"]
    page.get_by_label("Order").select_option("By name")
    assert sites(page) == ["Harbour", "Südbahnhof", "No site"]
    assert names(page) == ["Boiler", "Gate 10", "Gate 9", "Attic"]
    page.get_by_label("Grouping").select_option("Not grouped")
    expect(page.locator("#grid .site:visible")).to_have_count(0)
    assert names(page) == ["Attic", "Boiler", "Gate 9", "Gate 10"]
    assert address(page) == [("order", "name"), ("group", "none")]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("gate", ["Gate 10", "Gate 9"]),
        ("GATE 9", ["Gate 9"]),
        ("sudbahn", ["Gate 9"]),
        ("night", ["Gate 9"]),
        ("harbour 10", ["Gate 10"]),
        ("02:00:00:00:0b:04", ["Attic"]),
        ("0200.0000.0b04", ["Attic"]),
        ("02-00-00-00-0B", ["Attic"]),
        ("02 00 00 00 0b 04", ["Attic"]),
        ("0a0", ["Boiler", "Gate 10", "Gate 9"]),
        ("nothing like it", []),
    ],
)
def test_search_finds_names_macs_sites_and_labels_with_and_without_scripts(
    server: Server, page: Page, browser: Browser, typed: str, found: list[str]
) -> None:
    show(page, server)
    page.get_by_label("Search").fill(typed)
    assert sorted(names(page)) == sorted(found)
    expect(page.get_by_text("No matching sensors")).to_be_visible(visible=not found)
    bare = browser.new_context(java_script_enabled=False)
    try:
        scriptless = bare.new_page()
        scriptless.goto(page.url)
        assert sorted(names(scriptless)) == sorted(found)
    finally:
        bare.close()


def test_filters_are_in_the_url_and_follow_the_browser_history(
    server: Server, page: Page, browser: Browser
) -> None:
    show(page, server)
    page.locator(".pill[data-status=up]").click()
    assert names(page) == ["Boiler", "Gate 10", "Gate 9"]
    page.get_by_label("Site").select_option("Harbour")
    page.get_by_label("Label").select_option("floor: 2")
    assert names(page) == ["Gate 10"]
    expect(page.locator("#shown")).to_have_text("1 of 4")
    assert address(page) == [("status", "up"), ("site", "Harbour"), ("label", "floor=2")]
    other = browser.new_page()
    show(other, server, "/?" + urlsplit(page.url).query)
    assert names(other) == ["Gate 10"]
    assert other.get_by_label("Site").input_value() == "Harbour"
    other.close()
    page.go_back()
    expect(page.locator("#grid .name")).to_have_text(["Boiler", "Gate 10"])
    assert page.get_by_label("Label").input_value() == ""
    page.go_back()
    page.go_back()
    expect(page.locator("#grid .name")).to_have_count(4)
    assert not page.get_by_role("checkbox", name="3 up").is_checked()
    page.go_forward()
    expect(page.locator("#grid .name")).to_have_count(3)


def test_typed_search_is_one_history_entry(server: Server, page: Page) -> None:
    show(page, server)
    page.get_by_label("Search").press_sequentially("gate 9")
    assert names(page) == ["Gate 9"]
    page.go_back()
    expect(page.locator("#grid .name")).to_have_count(4)
    assert page.get_by_label("Search").input_value() == ""


def test_changed_sensor_enters_and_leaves_a_filtered_view(
    rig: Rig, server: Server, page: Page
) -> None:
    show(page, server, "/?status=down")
    expect(page.get_by_text("No matching sensors")).to_be_visible()
    rig.open_incidents([0x02_00_00_00_0A_01])
    poll_now(rig, page)
    expect(page.locator("#grid .name")).to_have_text(["Boiler"])
    rig.close_incident(0x02_00_00_00_0A_01)
    poll_now(rig, page)
    expect(page.get_by_text("No matching sensors")).to_be_visible()


def test_scroll_position_is_restored_when_going_back(rig: Rig, server: Server, page: Page) -> None:
    rig.beat(*range(1000))
    show(page, server, "/?status=up")
    page.evaluate("window.scrollTo(0, 3000)")
    page.get_by_text("00:00:00:00:01:10").click()
    page.wait_for_url("**/sensors/*")
    page.go_back()
    expect(page.locator("#grid .cell").first).to_be_visible()
    eventually(lambda: abs(int(page.evaluate("window.scrollY")) - 3000) < 100)
