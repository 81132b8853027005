"""An operator answers an incident with the real service and a real browser."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.service import Service
from tests.waiting import eventually
from tests.web.browser import STOPPED, chromium, errors_of
from tests.web.notices import RECORD, shown

PASSWORD = "correct horse battery"
MAC = "02:00:00:00:00:0a"
NAME = "<script>alert(1)</script>"
_GONE = (*STOPPED, "503 ")
"""Browser console messages about a service that is stopped or starting."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    timing = {
        "MONITOR_STALENESS_THRESHOLD": 8,
        "MONITOR_STALENESS_SWEEP_INTERVAL": 1,
        "MONITOR_ALERTS_GROUP_WAIT": 1,
    }
    with Service(tmp_path, **timing) as running:
        running.ready()
        yield running


@pytest.fixture
def context() -> Iterator[BrowserContext]:
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright, chromium(playwright, with_notices=True) as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.grant_permissions(["notifications"])
        # The browser can reach no push service here.
        context.route("**/api/v1/webpush/**", lambda route: route.fulfill(json={}))
        yield context


def people(service: Service, *arguments: str) -> None:
    """Run a `monitor` command with a password on standard input."""
    command = [sys.executable, "-m", "monitor", *arguments]
    done = subprocess.run(
        command, env=service.environment, input=PASSWORD, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Name or email").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.timeout(240)
def test_operator_logs_in_acknowledges_and_sees_the_recovery(
    service: Service, context: BrowserContext
) -> None:
    context.add_init_script(RECORD)
    people(service, "createsuperuser", "--name", "Anna", "--email", "")
    page, other = context.new_page(), context.new_page()
    page_errors = [errors_of(page), errors_of(other)]
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))

    page.goto(service.url)
    log_in(page, "Anna")
    expect(page.get_by_text("No sensor has reported yet")).to_be_visible()
    other.goto(service.url)
    for tab in (page, other):
        tab.evaluate("window.notReloaded = true")
    page.get_by_role("button", name="Notifications").click()
    expect(other.get_by_role("button", name="Notifications", pressed=True)).to_be_visible()

    service.beat(MAC)
    for tab in (page, other):
        expect(tab.locator("#grid .cell.up .name")).to_have_text(MAC)
    for tab in (page, other):
        expect(tab.locator("#grid .cell.down .name")).to_have_text(MAC)
        expect(tab).to_have_title("1 down · heartbeat-monitor")
        assert tab.evaluate("window.notReloaded")
    eventually(lambda: shown(page, other) == [f"{MAC} is down"])

    page.locator("#grid .cell a").click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    expect(other.locator("#grid .name")).to_have_text(NAME)

    page.get_by_role("link", name="Incidents").click()
    page.get_by_role("checkbox", name=NAME).check()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("main")).to_contain_text("by Anna")
    page.get_by_role("checkbox", name=NAME).check()
    page.get_by_label("Reason").fill("a technician is on the way")
    page.get_by_role("button", name="Silence", exact=True).click()
    expect(other.locator("#grid .hush")).to_be_visible()

    other.get_by_role("searchbox").fill("script")
    expect(other).to_have_url(re.compile(r"\?q=script$"))
    expect(other.locator("#grid .cell")).to_have_count(1)

    service.stop()
    banner = other.get_by_role("alert")
    expect(banner).to_contain_text("The server can't be reached.")
    service.start()
    service.ready()
    expect(banner).to_be_hidden()
    service.beat(MAC)
    expect(other.locator("#grid .cell.up .name")).to_have_text(NAME)
    assert other.evaluate("window.notReloaded")
    messages = [text for each in page_errors for text in each]
    assert [text for text in messages if not any(gone in text for gone in _GONE)] == []
    assert dialogs == []
