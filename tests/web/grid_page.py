"""Actions on the grid in a browser."""

import re

from playwright.sync_api import Locator, Page, expect

from monitor.model import SECOND
from tests.web.fleet_rig import Rig, Server


def show(page: Page, server: Server, address: str = "/") -> None:
    """Open the grid and wait until its script has received the first response."""
    page.goto(server.url + address)
    expect(page.locator("html")).to_have_attribute("data-live", re.compile("yes|no"))


def poll_now(rig: Rig, page: Page) -> None:
    """Let the server refresh its data, and the page poll now instead of in five seconds."""
    rig.clock.ahead += SECOND
    page.evaluate("window.dispatchEvent(new Event('online'))")


def names(page: Page) -> list[str]:
    """The names in the cells of the page, in order."""
    return page.locator("#grid .name").all_text_contents()


def cell(page: Page, name: str) -> Locator:
    """The link in the cell of a sensor."""
    return page.locator("#grid .cell a", has=page.get_by_text(name, exact=True))
