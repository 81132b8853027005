"""Pages with a login in a real browser, and checks of their layout and accessibility."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.ports import free_port
from tests.web.fleet_rig import Rig, Server
from tests.web.visitors import PASSWORD

_STRETCHED = """
[...document.querySelectorAll("[type=checkbox]")].filter((box) => box.offsetWidth > 24).length"""
"""The number of checkboxes that are stretched like text fields."""


@contextmanager
def serving_with_login(rig: Rig, **options: Any) -> Iterator[Server]:
    """Requests need a login. `options`: of `build_context`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = Server(rig.build_app(base_url=url, local=False, **options))
    server.port = port
    server.start()
    try:
        yield server
    finally:
        server.stop()


def log_in(page: Page, url: str, name: str, path: str = "/", password: str = PASSWORD) -> None:
    """Log in to the service at `url`, and open the page at `path`."""
    page.goto(f"{url}/login?next={path}")
    page.get_by_label("Name or email").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}{path}")


def check_page(page: Page, name: str) -> None:
    """Assert that the page fits its width and is accessible. SHOTS=FOLDER keeps a screenshot."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    size = page.viewport_size
    assert size is not None
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}-{size['width']}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
    assert page.evaluate(_STRETCHED) == 0, name
    assert accessibility_violations(page) == [], name


def accessibility_violations(page: Page) -> list[tuple[str, list[object]]]:
    """Accessibility violations that are not minor: axe's rule, and the first elements."""
    return [
        (one["id"], [node["target"] for node in one["nodes"]][:3])
        for one in Axe().run(page).response["violations"]
        if one["impact"] != "minor"
    ]
