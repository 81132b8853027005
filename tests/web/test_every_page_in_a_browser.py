"""Each page of the whole application in a real browser: light and dark, wide and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.ports import free_port
from tests.web.browser import complaints_of
from tests.web.fleet_rig import Server
from tests.web.looking import grave_in, log_in
from tests.web.visitors import BROWSER, logged_in
from tests.web.whole import Whole, path_of

PHONE, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Looked at, and not changed."""
    site = Whole(Path(tmp_path_factory.mktemp("whole")), f"http://127.0.0.1:{free_port()}")
    server = Server(site.app)
    server.port = int(site.url.rpartition(":")[2])
    server.start()
    yield site
    server.stop()
    site.close()


def pages_of(whole: Whole) -> list[str]:
    """The address of each page there is."""
    visitor = logged_in(whole.app, "administrator", base=whole.url)
    paths = [path_of(rule) for rule in whole.rules() if "GET" in (rule.methods or set())]
    answers = {
        path: visitor.client.get(path, base_url=whole.url, headers=BROWSER) for path in paths
    }
    return [
        "/login",
        *(
            path
            for path, told in answers.items()
            if told.mimetype == "text/html" and told.status_code == 200
        ),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out_or_breaks_a_policy(
    whole: Whole, browser: Browser, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    complaints = complaints_of(page)
    log_in(page, whole.url, "administrator")
    for path in pages_of(whole):
        for size in (WIDE, PHONE):
            page.set_viewport_size({"width": size["width"], "height": size["height"]})
            page.goto(whole.url + path)
            page.wait_for_load_state("load")
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert grave_in(page) == [], path
        assert complaints == [], path
    context.close()
