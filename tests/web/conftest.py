from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.web.browser import STOPPED, chromium, complaints_of
from tests.web.fleet_rig import Rig, Server, serving

# What tests do on purpose: a server that is stopped, or wants a login.
_WANTED = (*STOPPED, "401 (Unauthorized)")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    built = Rig(tmp_path)
    yield built
    built.close()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=15_000)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as launched:
        yield launched


@pytest.fixture
def server(rig: Rig) -> Iterator[Server]:
    """The pages of the rig's fleet, judged up to now."""
    rig.judge()
    with serving(rig.build_app()) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Fails the test when the page complained: an error, a broken policy, an exception."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    opened = context.new_page()
    complaints = complaints_of(opened)
    yield opened
    context.close()
    assert [text for text in complaints if not text.endswith(_WANTED)] == []
