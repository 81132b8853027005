"""The grid in a real browser: keyboard navigation, and only visible cells in the page."""

import re

import pytest
from playwright.sync_api import Page, expect

from monitor.model import format_mac
from tests.web.fleet_rig import Rig, Server
from tests.web.grid_page import poll_now, show

SENSORS = 1000


@pytest.fixture
def many(rig: Rig) -> None:
    rig.beat(*range(1, SENSORS + 1))


def focused(page: Page) -> str:
    """The name in the cell that has the focus."""
    return str(page.evaluate("document.activeElement.querySelector('.name')?.textContent ?? ''"))


def columns(page: Page) -> int:
    return int(page.locator("#grid").get_attribute("aria-colcount") or 0)


def press(page: Page, *keys: str) -> str:
    for key in keys:
        page.keyboard.press(key)
    return focused(page)


def test_only_visible_cells_are_in_the_page_and_aria_has_the_total(
    many: None, server: Server, page: Page
) -> None:
    show(page, server)
    grid = page.get_by_role("grid", name="Sensors")
    wide = columns(page)
    assert grid.get_attribute("aria-rowcount") == str(-(-SENSORS // wide))
    assert page.locator("#grid .cell").count() < 150
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_text(format_mac(SENSORS), exact=True)).to_be_visible()
    assert page.locator("#grid .cell").count() < 150
    last = page.get_by_role("row").last
    assert last.get_attribute("aria-rowindex") == str(-(-SENSORS // wide))


def test_arrow_keys_move_from_cell_to_cell_and_enter_opens_the_sensor(
    many: None, server: Server, page: Page
) -> None:
    show(page, server)
    page.locator("#grid a").first.focus()
    wide = columns(page)
    assert wide > 2
    assert press(page, "ArrowRight") == format_mac(2)
    assert press(page, "ArrowDown") == format_mac(2 + wide)
    assert press(page, "ArrowLeft", "ArrowUp") == format_mac(1)
    assert press(page, "ArrowUp", "ArrowLeft") == format_mac(1)
    assert press(page, "End") == format_mac(wide)
    assert press(page, "ArrowRight") == format_mac(wide + 1)
    assert press(page, "PageDown", "PageUp", "Home") == format_mac(wide + 1)
    assert press(page, "Control+End") == format_mac(SENSORS)
    expect(page.get_by_text(format_mac(SENSORS), exact=True)).to_be_in_viewport()
    assert press(page, "Control+Home", "ArrowRight") == format_mac(2)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sensors/{format_mac(2)}")


def test_tab_reaches_every_control_and_the_grid_as_one_stop(
    rig: Rig, server: Server, page: Page
) -> None:
    rig.configure(1, name="Boiler", site="Harbour", labels={"floor": "1"})
    rig.configure(2, name="Gate", site="Harbour")
    rig.beat(1, 2)
    show(page, server)
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("/gate")
    expect(page.get_by_text("No matching sensors")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#grid .cell")).to_have_count(2)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="2 up")).to_be_checked()
    for label in ("Site", "Label", "Order", "Grouping"):
        page.keyboard.press("Tab")
        expect(page.get_by_label(label, exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    assert focused(page) == "Boiler"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Gate"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert focused(page) == "Gate"


def test_focus_stays_on_a_sensor_that_moves_or_is_scrolled_out(
    rig: Rig, server: Server, page: Page, many: None
) -> None:
    rig.register(500)
    show(page, server)
    page.locator("#grid a").first.focus()
    page.keyboard.press("PageDown")
    kept = focused(page)
    assert kept not in ("", format_mac(1))
    rig.open_incidents([500])
    poll_now(rig, page)
    expect(page.locator("#grid .cell.down")).to_have_count(1)
    assert focused(page) == kept
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_text(format_mac(SENSORS), exact=True)).to_be_visible()
    assert focused(page) == kept
    page.keyboard.press("ArrowRight")
    expect(page.locator("#grid a:focus")).to_be_in_viewport()


def test_only_the_number_of_down_sensors_is_announced(rig: Rig, server: Server, page: Page) -> None:
    rig.configure(1, name="Boiler")
    rig.beat(1)
    show(page, server)
    spoken = page.locator("#announcement")
    assert spoken.get_attribute("role") == "status"
    expect(spoken).to_have_text("")
    rig.beat(2)
    poll_now(rig, page)
    expect(page.locator("#grid .cell")).to_have_count(2)
    expect(spoken).to_have_text("")
    rig.open_incidents([1])
    poll_now(rig, page)
    expect(spoken).to_have_text("1 down")
    expect(page.get_by_role("link", name=re.compile(r"^Boiler .* ago down"))).to_be_visible()
