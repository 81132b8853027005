from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.web.browser import STOPPED, chromium, errors_of
from tests.web.fleet_rig import Rig, Server, serving

# Errors that tests cause on purpose: a stopped server, or a missing login.
_EXPECTED = (*STOPPED, "401 (Unauthorized)")


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
    """A server with the pages of the rig's fleet, which is judged up to now."""
    rig.judge()
    with serving(rig.build_app()) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; the test fails if it had a console error, a CSP violation or an exception."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    opened = context.new_page()
    page_errors = errors_of(opened)
    yield opened
    context.close()
    assert [text for text in page_errors if not text.endswith(_EXPECTED)] == []
