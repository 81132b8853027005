"""Debian's Chromium with Playwright, and the errors of a page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Playwright

STOPPED = (
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_CONNECTION_CLOSED",
    "ERR_EMPTY_RESPONSE",
    "ERR_SOCKET_NOT_CONNECTED",
)
"""Chromium's errors when the server stops; they depend on the state of the connection."""

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_LOG_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
"""


@contextmanager
def chromium(playwright: Playwright, with_notices: bool = False) -> Iterator[Browser]:
    """A browser; without one the test is skipped, in CI it fails.

    Debian's headless shell needs about half the CPU time of the full Chromium, but shows no
    notices.
    """
    shell = None if with_notices else shutil.which("chromium-headless-shell")
    executable = shell or shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()


def errors_of(page: Page) -> list[str]:
    """A list that grows with each console error, CSP violation and uncaught exception of the
    page."""
    page_errors: list[str] = []
    page.add_init_script(_LOG_VIOLATIONS)
    page.on("pageerror", lambda error: page_errors.append(str(error)))
    page.on(
        "console",
        lambda message: page_errors.append(message.text) if message.type == "error" else None,
    )
    return page_errors
