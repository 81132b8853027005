"""Logins, passwords and the administration of users in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from monitor.state import audit, users
from monitor.state.database import reading, writing
from tests.ports import free_port
from tests.web.browser_pages import accessibility_violations, log_in
from tests.web.fleet_rig import Rig, Server
from tests.web.visitors import PASSWORD, add_user

NASTY = "<b>Bobby</b> " + "o" * 60


@pytest.fixture
def served(rig: Rig) -> Iterator[Server]:
    """A server with the administrator Anna."""
    rig.beat(1)
    rig.judge()
    add_user(rig.engine, "Anna", "administrator", email="anna@example.org")
    url = f"http://127.0.0.1:{free_port()}"
    app = rig.build_app(base_url=url)
    server = Server(app)
    server.port = int(url.rpartition(":")[2])
    server.start()
    yield server
    server.stop()


def log_in_as(page: Page, server: Server, name: str, password: str = PASSWORD) -> None:
    log_in(page, server.url, name, password=password)
    expect(page.get_by_role("link", name=name)).to_be_visible()


def test_user_logs_in_and_out_with_the_keyboard(served: Server, page: Page) -> None:
    page.goto(f"{served.url}/?q=00")
    expect(page).to_have_url(f"{served.url}/login?next=/?q%3D00")
    page.keyboard.type("anna")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.url}/?q=00")
    expect(page.locator(".cell")).to_have_count(1)
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(served.url)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_added_user_sets_a_password_and_has_the_role_viewer(
    rig: Rig, served: Server, page: Page, browser: Browser
) -> None:
    log_in_as(page, served, "Anna")
    page.get_by_role("link", name="Administration").click()
    page.get_by_role("link", name="Users").click()
    page.get_by_label("Name", exact=True).fill(NASTY)
    page.get_by_role("button", name="Create").click()
    link = page.locator("code.whole").inner_text()
    other = browser.new_context()
    theirs = other.new_page()
    theirs.goto(link)
    theirs.get_by_label("New password", exact=True).fill("purple monkey dishwasher")
    theirs.get_by_label("Repeat the new password").fill("purple monkey dishwasher")
    theirs.get_by_role("button", name="Set password").click()
    expect(theirs.get_by_role("status")).to_have_text(
        "Password set. Log in with your new password."
    )
    log_in_as(theirs, served, NASTY, "purple monkey dishwasher")
    expect(theirs.get_by_role("link", name="Administration")).to_have_count(0)
    other.close()
    page.get_by_role("link", name="Users").click()
    page.get_by_text(NASTY).click()
    page.locator("details[open]").get_by_label("Role").select_option("operator")
    page.locator("details[open]").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text(f"{NASTY} saved.")
    page.get_by_role("link", name="Audit trail").click()
    expect(page.locator("tbody tr").first).to_contain_text("role viewer → operator")
    with reading(rig.engine) as connection:
        whats = [entry.what for entry in audit.listed(connection, 10)]
    assert whats == ["user changed", "password set", "user created"]


def test_new_password_ends_other_logins_and_the_open_grid_reports_it(
    rig: Rig, served: Server, page: Page, browser: Browser
) -> None:
    log_in_as(page, served, "Anna")
    elsewhere = browser.new_context()
    grid = elsewhere.new_page()
    log_in_as(grid, served, "Anna")
    page.get_by_role("link", name="Anna").click()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("purple monkey dishwasher")
    page.get_by_label("Repeat the new password").fill("purple monkey dishwasher")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("You are logged out in all other browsers")
    expect(grid.get_by_role("alert")).to_contain_text("You are logged out.")
    grid.reload()
    expect(grid.get_by_role("heading", name="Log in")).to_be_visible()
    elsewhere.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_on_a_phone(rig: Rig, served: Server, page: Page, scheme: str) -> None:
    add_user(rig.engine, NASTY, "operator", email=f"{'x' * 60}@example.org")
    with writing(rig.engine) as connection:
        detail = {"role": {"from": "viewer", "to": "operator"}, "matchers": ["mac=*", "x" * 90]}
        audit.record(connection, NASTY, "route changed", "y" * 80, detail)
        users.change(connection, users.add(connection, "Gone", "viewer", 0), active=False)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{served.url}/login")
    check_phone_layout(page)
    log_in_as(page, served, "Anna")
    for path in ("/account", "/admin/users", "/admin/audit", "/"):
        page.goto(served.url + path)
        if path == "/admin/users":
            page.locator("summary").nth(1).click()
        check_phone_layout(page)


def check_phone_layout(page: Page) -> None:
    """Assert that the page fits a phone and is accessible."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, page.url
    assert accessibility_violations(page) == [], page.url
