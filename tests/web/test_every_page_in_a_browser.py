"""Each page of the complete application in a real browser: light, dark, wide, on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.ports import free_port
from tests.web.browser import errors_of
from tests.web.browser_pages import accessibility_violations, log_in
from tests.web.complete_app import CompleteApp, path_of
from tests.web.fleet_rig import Server
from tests.web.visitors import BROWSER, logged_in

PHONE, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def complete_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompleteApp]:
    """Shared by the module, because its tests change nothing."""
    site = CompleteApp(Path(tmp_path_factory.mktemp("whole")), f"http://127.0.0.1:{free_port()}")
    server = Server(site.app)
    server.port = int(site.url.rpartition(":")[2])
    server.start()
    yield site
    server.stop()
    site.close()


def pages_of(complete_app: CompleteApp) -> list[str]:
    """The path of each page."""
    visitor = logged_in(complete_app.app, "administrator", base=complete_app.url)
    paths = [path_of(rule) for rule in complete_app.rules() if "GET" in (rule.methods or set())]
    answers = {
        path: visitor.client.get(path, base_url=complete_app.url, headers=BROWSER) for path in paths
    }
    return [
        "/login",
        *(
            path
            for path, answer in answers.items()
            if answer.mimetype == "text/html" and answer.status_code == 200
        ),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_fits_the_width_and_obeys_the_csp(
    complete_app: CompleteApp, browser: Browser, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page_errors = errors_of(page)
    log_in(page, complete_app.url, "administrator")
    for path in pages_of(complete_app):
        for size in (WIDE, PHONE):
            page.set_viewport_size({"width": size["width"], "height": size["height"]})
            page.goto(complete_app.url + path)
            page.wait_for_load_state("load")
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert accessibility_violations(page) == [], path
        assert page_errors == [], path
    context.close()
