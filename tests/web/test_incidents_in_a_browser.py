"""The list of incidents and the page of one in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from monitor.model import MINUTE
from tests.cases import Cases
from tests.web.browser_pages import check_page, log_in, serving_with_login
from tests.web.fleet_rig import Rig, Server
from tests.web.visitors import add_user

FIRST = 0x02_00_00_00_00_00
HEIGHT = 740


@pytest.fixture
def cases(rig: Rig) -> Cases:
    """Twelve pumps are down, each at its own site."""
    cases = Cases(rig.engine, rig.clock.now())
    for n in range(12):
        rig.configure(FIRST + n, name=f"Pump {n}", site=f"Hall {n}")
        rig.beat(FIRST + n, ago=11 * MINUTE)
        cases.incident(FIRST + n, cases.group(f"site:Hall {n}"))
    return cases


@pytest.fixture
def served(rig: Rig, cases: Cases) -> Iterator[Server]:
    rig.judge()
    add_user(rig.engine, "Olga", "operator")
    with serving_with_login(rig) as server:
        yield server


def place(part: Locator) -> tuple[float, float]:
    """(top, bottom) within the window."""
    box = part.bounding_box()
    assert box is not None
    return box["y"], box["y"] + box["height"]


def test_phone_shows_incidents_first_and_actions_when_one_is_selected(
    served: Server, page: Page
) -> None:
    page.set_viewport_size({"width": 360, "height": HEIGHT})
    log_in(page, served.url, "olga", "/incidents")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(12)
    assert place(rows.nth(2))[1] <= HEIGHT
    acknowledge = page.get_by_role("button", name="Acknowledge")
    expect(acknowledge).to_be_hidden()
    expect(page.get_by_label("Name, site or MAC address")).to_be_hidden()
    page.get_by_role("checkbox", name="Pump 11").check()
    expect(page.get_by_role("group", name="1 selected")).to_be_visible()
    top, bottom = place(page.locator(".bulk"))
    assert bottom <= HEIGHT
    assert bottom - top < HEIGHT / 2
    page.get_by_role("checkbox", name="Pump 11").uncheck()
    expect(acknowledge).to_be_hidden()
    page.get_by_role("checkbox", name="Pump 11").check()
    page.get_by_role("checkbox", name="Pump 10").check()
    acknowledge.click()
    expect(page.get_by_role("status")).to_have_text("2 incidents acknowledged.")


def test_filters_stay_open_while_they_apply(served: Server, page: Page) -> None:
    log_in(page, served.url, "olga", "/incidents")
    page.get_by_text("Filters").click()
    page.get_by_label("Name, site or MAC address").fill("Hall 3")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Name, site or MAC address")).to_have_value("Hall 3")


def test_actions_appear_without_scripts(served: Server, page: Page) -> None:
    assert page.context.browser is not None
    plain = page.context.browser.new_context(java_script_enabled=False)
    opened = plain.new_page()
    log_in(opened, served.url, "olga", "/incidents")
    expect(opened.get_by_role("button", name="Silence")).to_be_hidden()
    opened.locator("tbody").get_by_role("checkbox").first.check()
    opened.get_by_label("Reason").fill("painting")
    opened.get_by_role("button", name="Silence").click()
    expect(opened.get_by_role("status")).to_have_text(re.compile("1 sensor silenced"))
    plain.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_list_is_accessible_and_fits_the_width(
    served: Server, page: Page, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": HEIGHT})
    log_in(page, served.url, "olga", "/incidents")
    check_page(page, f"incidents-{scheme}")
    page.get_by_role("checkbox", name="Pump 7").check()
    check_page(page, f"selected-{scheme}")
