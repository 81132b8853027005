"""`python -m tests.screenshots`: the README's screenshots, with a generated fleet."""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from monitor.clock import Clock
from monitor.model import DAY, format_mac
from monitor.state.database import open_state
from monitor.state.migrating import migrate
from monitor.store.sqlite import SqliteStore
from tests.screenshots.fleet import FIRST_MAC, SHOWN, fleet
from tests.screenshots.past import WATCHED, fill
from tests.service import Service
from tests.web.browser import chromium
from tests.web.visitors import PASSWORD, add_user

IMAGES = Path(__file__).parent / "images"
LARGEST = 250_000
"""The maximum size of a picture in bytes."""

_WIDTH = 1200


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        number = _prepare(directory / "data")
        with Service(directory) as service, _simulation(service) as simulation:
            try:
                with sync_playwright() as playwright, chromium(playwright) as browser:
                    for scheme in ("light", "dark"):
                        _shoot(browser, service.url, scheme, number)
            finally:
                simulation.terminate()


def _prepare(data: Path) -> int:
    """Write the service's files; the id of the incident to show."""
    store = SqliteStore(data / "heartbeats.sqlite", 90 * DAY, writable=True)
    store.migrate()
    engine = open_state(f"sqlite:///{data / 'state.sqlite'}")
    migrate(engine)
    add_user(engine, WATCHED, "administrator")
    number = fill(store, engine, Clock().now())
    store.close()
    engine.dispose()
    return number


def _simulation(service: Service) -> "subprocess.Popen[bytes]":
    service.ready()
    count = sum(sensor.goes_on for sensor in fleet())
    command = ("simulate", "--url", service.url, "--sensors", str(count), "--interval", "60")
    first = ("--first-mac", format_mac(FIRST_MAC))
    return subprocess.Popen(
        [sys.executable, "-m", "monitor", *command, *first],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _shoot(browser: Browser, url: str, scheme: str, incident: int) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=1.25,
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    page = context.new_page()
    page.goto(f"{url}/login")
    page.get_by_label("Name or email").fill(WATCHED)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}/")
    page.wait_for_function("document.querySelectorAll('.cell svg path').length > 20")
    _save(page, f"grid-{scheme}", 860)
    mac = next(format_mac(sensor.mac) for sensor in fleet() if sensor.name == SHOWN)
    page.goto(f"{url}/sensors/{mac}?metric=battery")
    page.wait_for_selector("#plot[data-shown] .mean", state="attached")  # a flat line has no height
    _save(page, f"sensor-{scheme}", 1150)
    page.goto(f"{url}/incidents/{incident}")
    _save(page, f"incident-{scheme}", 900)
    context.close()


def _save(page: Page, name: str, height: int) -> None:
    page.set_viewport_size({"width": _WIDTH, "height": height})
    page.wait_for_load_state("networkidle")
    page.wait_for_selector("#banner", state="hidden")  # until everything after the start is judged
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    size = path.stat().st_size
    print(f"{path.relative_to(Path.cwd())}: {size:,} bytes")
    if size > LARGEST:
        raise SystemExit(f"{path} is larger than {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
