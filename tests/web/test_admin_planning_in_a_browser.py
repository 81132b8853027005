"""Silences, maintenance and sensors in bulk in a real browser, light, dark and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.model import DAY, HOUR, format_mac
from monitor.state import sensor_list, sensors, silences
from monitor.state.database import writing
from tests.web.browser_pages import check_page, log_in, serving_with_login
from tests.web.fleet_rig import Rig, Server
from tests.web.operator_app import NASTY
from tests.web.visitors import add_user

ZONE = ZoneInfo("Europe/Berlin")
LONG = NASTY + " " + "o" * 120


@pytest.fixture
def served(rig: Rig) -> Iterator[Server]:
    """A fleet with unusual names, silences and maintenance, and the operator Olga."""
    now = rig.clock.now()
    fleet = {
        0x0200_0000_0000 + n: {
            "name": [f"Pump {n}", LONG, None][n % 3 if n < 6 else 0],
            "site": f"Hall {n % 5}" if n % 7 else LONG,
            "labels": {"floor": str(n % 4), "crew": "B"} if n % 2 else {},
            "threshold": 90_000 if n % 4 else None,
            "paused": n % 9 == 1,
        }
        for n in range(130)
    }
    hourly = ("Europe/Berlin", "2026-01-04T01:30", "2026-01-04T05:30")
    with writing(rig.engine) as connection:
        sensors.configure_all(connection, fleet, sensors.next_version(connection))
        for meant, why in (
            (["site=Hall 1|Hall 2", "floor!=3"], "Painting"),
            ([f"name={LONG}"], LONG),
        ):
            for start in (now - 3 * HOUR, now + DAY, now - 9 * DAY):
                silences.add_silence(connection, meant, start, start + 9 * HOUR, why, "Olga", now)
        for name, rule in (("Backup line", "FREQ=WEEKLY;BYDAY=SU,WE"), (LONG, "FREQ=DAILY")):
            silences.add_maintenance(connection, name, ["site=Hall 1"], *hourly, rule, "Olga", now)
    rig.judge()
    add_user(rig.engine, "Olga", "operator")
    with serving_with_login(rig, zone=ZONE) as server:
        yield server


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_are_accessible_and_fit_the_width(
    served: Server, page: Page, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    log_in(page, served.url, "olga", "/admin/silences")
    for path in (
        "/admin/silences",
        "/admin/silences?state=past",
        "/admin/maintenance?state=upcoming",
        "/admin/sensors",
        "/admin/sensors/import",
    ):
        page.goto(served.url + path)
        check_page(page, f"{path.rpartition('/')[2].replace('?', '-')}-{scheme}")
    page.get_by_label("Or paste its text").fill(
        f"mac_address,name,labels\n02:00:00:00:00:01,{LONG},floor=3\n02:00:00:00:01:01,New,\n"
    )
    page.get_by_role("button", name="Preview changes").click()
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_visible()
    check_page(page, f"preview-{scheme}")


@pytest.mark.parametrize("width", [1280, 360])
def test_error_pages_are_accessible_and_fit_the_width(
    served: Server, browser: Browser, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    log_in(page, served.url, "olga", "/admin/sensors/import")
    page.get_by_label("Or paste its text").fill(f"mac_address,name,labels\n02,{LONG},\n")
    page.get_by_role("button", name="Preview changes").click()
    expect(page.get_by_role("alert")).to_have_text("1 problem. Nothing was changed.")
    check_page(page, "bad")
    page.goto(f"{served.url}/admin/silences")
    page.get_by_label("Sensors", exact=True).fill(LONG)
    page.get_by_label("Reason").fill(LONG)
    page.get_by_role("button", name="Start silence").click()
    expect(page.get_by_role("alert")).to_contain_text("Sensors:")
    expect(page.locator("textarea")).to_have_value(LONG)
    check_page(page, "wrong")
    context.close()


def test_silence_is_started_and_ended(served: Server, page: Page) -> None:
    log_in(page, served.url, "olga", "/admin/silences")
    page.get_by_label("Sensors", exact=True).fill("site=Hall 4\nfloor=1")
    page.get_by_label("Duration").select_option("30 min")
    page.get_by_label("Reason").fill("Repair")
    page.get_by_role("button", name="Start silence").click()
    expect(page.get_by_role("status")).to_contain_text("has started. It matches")
    page.get_by_role("button", name="Repair").click()
    expect(page.get_by_role("status")).to_contain_text("ended.")
    expect(page.get_by_text("Repair")).to_have_count(0)


def test_maintenance_is_scheduled_with_native_date_fields(served: Server, page: Page) -> None:
    log_in(page, served.url, "olga", "/admin/maintenance")
    page.get_by_label("Name").fill("Lift service")
    page.get_by_label("Sensors", exact=True).fill("site=Hall 4")
    page.get_by_label("Start").fill("2026-03-01T01:30")
    page.get_by_label("End", exact=True).fill("2026-03-01T03:30")
    page.get_by_label("Repeats").select_option("every week")
    page.get_by_label("Sunday").check()
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Lift service scheduled.")
    expect(page.locator(".plans li", has_text="Lift service")).to_contain_text("every Sunday")


def test_sensors_are_selected_all_at_once_or_without_scripts_one_by_one(
    rig: Rig, served: Server, page: Page
) -> None:
    log_in(page, served.url, "olga", "/admin/sensors")
    page.get_by_label("All on this page").check()
    page.get_by_label("Action").select_option("Set the site")
    page.get_by_label("Value", exact=True).fill("Hall 9")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("status")).to_have_text("100 sensors changed.")
    moved = [row.mac for row in sensor_list.every(rig.engine) if row.site == "Hall 9"]
    assert len(moved) == 100
    browser = page.context.browser
    assert browser is not None
    plain = browser.new_context(java_script_enabled=False)
    opened = plain.new_page()
    log_in(opened, served.url, "olga", "/admin/sensors")
    expect(opened.get_by_label("All on this page")).to_be_hidden()
    opened.locator(f'[value="{format_mac(moved[0])}"]').check()
    opened.get_by_label("Action").select_option("Pause")
    opened.get_by_role("button", name="Change").click()
    expect(opened.get_by_role("status")).to_contain_text("1 sensor")
    plain.close()


def test_exported_csv_is_edited_uploaded_and_confirmed(
    rig: Rig, served: Server, page: Page, tmp_path: Path
) -> None:
    log_in(page, served.url, "olga", "/admin/sensors")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export all as CSV").click()
    exported = Path(downloading.value.path()).read_text()
    changed = tmp_path / "changed.csv"
    changed.write_text(exported.replace("Pump 9,", "=Pump 9,"))
    page.get_by_role("link", name="Import CSV").click()
    page.get_by_label("CSV file").set_input_files(changed)
    page.get_by_role("button", name="Preview changes").click()
    expect(page.locator("dd")).to_have_text(["1", "0", "129"])
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("1 sensor imported.")
    assert "=Pump 9" in {row.name for row in sensor_list.every(rig.engine)}
