"""The grid in Chromium, with the real service and a fleet with one heartbeat a minute."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import bindparam, update

from monitor.model import MINUTE, SECOND, format_mac
from monitor.state import sensors
from monitor.state.database import open_state, writing
from monitor.state.tables import sensor
from tests.bench.table import RUNS, Row
from tests.service import Service
from tests.waiting import eventually
from tests.web.browser import chromium

FIRST_PAINT, READY, POLL, MEMORY = 1_000, 2_000, 50, 150
"""Milliseconds, and megabytes."""
POLL_SIZE = 40
"""Kilobytes, compressed."""

_FIRST = 0x020000000000
_SITES = 40
_BATCH = 5_000
_MEGABYTE, _KILOBYTE = 1e6, 1e3

_SCROLL = """() => new Promise((done) => {
  const frames = [];
  let last = performance.now();
  const step = (now) => {
    frames.push(now - last);
    last = now;
    window.scrollBy(0, 240);
    if (frames.length < 180) requestAnimationFrame(step);
    else done(frames.slice(1));
  };
  requestAnimationFrame(step);
})"""


class Fleet:
    """A fleet of `size` sensors with names, sites and labels."""

    def __init__(self, service: Service, size: int) -> None:
        self._url, self._session = f"{service.url}/heartbeats", requests.Session()
        self._macs = [format_mac(_FIRST + number) for number in range(size)]
        self._engine = open_state(f"sqlite:///{service.directory / 'data' / 'state.sqlite'}")
        for start in range(0, size, _BATCH):
            self._beat(self._macs[start : start + _BATCH])
        eventually(lambda: len(service.sensors()) == size, 120)
        self._describe()

    def _beat(self, macs: list[str]) -> None:
        lines = "".join(f'{{"mac_address":"{mac}"}}\n' for mac in macs)
        answer = self._session.post(
            self._url, data=lines.encode(), headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.status_code == 200, answer.text

    def fill(self, times: int) -> None:
        """Send so many more heartbeats of each sensor."""
        for _ in range(times):
            for start in range(0, len(self._macs), _BATCH):
                self._beat(self._macs[start : start + _BATCH])

    def _describe(self) -> None:
        table = sensor
        rows = [
            {
                "key": _FIRST + number,
                "name": f"Sensor {number:,} in room {number * 7 % 400}",
                "site": f"Site {number % _SITES}",
                "labels": {"floor": str(number % 5)},
            }
            for number in range(len(self._macs))
        ]

        def registered() -> bool:
            with writing(self._engine) as connection:
                version = sensors.next_version(connection)
                changed = update(table).where(table.c.mac == bindparam("key"))
                columns: dict[str, Any] = {"version": version}
                columns |= {name: bindparam(name) for name in ("name", "site", "labels")}
                done = connection.execute(changed.values(columns), rows)
                return done.rowcount == len(rows)

        eventually(registered, 60, every=5)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Send one heartbeat per sensor and minute, evenly spread."""
        over = threading.Event()

        def beat() -> None:
            share = max(1, len(self._macs) * SECOND // MINUTE)
            begin, turn = time.monotonic(), 0
            while not over.wait(max(0.0, begin + turn - time.monotonic())):
                start = turn * share % len(self._macs)
                self._beat(self._macs[start : start + share])
                turn += 1

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def polls(url: str) -> tuple[list[float], list[float]]:
    """Milliseconds and kilobytes of polls every 5 s, as the browser sends them."""
    took, sizes = [], []
    session = requests.Session()
    session.headers["Accept-Encoding"] = "br"  # same size as zstd, which requests can't decompress
    cursor = session.get(f"{url}/sensors").json()["cursor"]
    for _ in range(RUNS + 1):
        time.sleep(5)
        answer = session.get(f"{url}/sensors", params={"since": cursor}, stream=True)
        took.append(answer.elapsed.total_seconds() * 1e3)
        sizes.append(int(answer.headers["Content-Length"]) / _KILOBYTE)
        reply = answer.json()
        assert not reply["reset"]
        cursor = reply["cursor"]
    return took[1:], sizes[1:]


def load(browser: Browser, url: str) -> tuple[float, float]:
    """Milliseconds from the click to the first paint, and to the answer of a search."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    _show(page, url)
    paint, ready = page.evaluate(
        "['first-contentful-paint', 'ready']"
        ".map((name) => performance.getEntriesByName(name)[0].startTime)"
    )
    page.close()
    return float(paint), float(ready)


def _show(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("[role=grid] .cell", timeout=120_000)


def search(page: Page) -> float:
    """Milliseconds from the last key to the search result."""
    took: float = page.evaluate("""async () => {
      const { q } = document.getElementById("filters").elements;
      const begin = performance.now();
      q.value = "room 77";
      q.dispatchEvent(new Event("input", { bubbles: true }));
      document.getElementById("grid").getBoundingClientRect();
      const took = performance.now() - begin;
      q.value = "";
      q.dispatchEvent(new Event("input", { bubbles: true }));
      return took;
    }""")
    return took


def memory(page: Page) -> float:
    """Private megabytes of the page's process after garbage collection."""
    page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
    browser = page.context.browser
    assert browser is not None
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    return max(psutil.Process(pid).memory_full_info().uss for pid in renderers) / _MEGABYTE


def rows(directory: Path, size: int, **environment: str) -> list[Row]:
    """Measure first paint, readiness, search, polls, memory and frames."""
    of = f"grid of {size:,}"
    with (
        Service(directory, MONITOR_INGEST_MAX_SENSORS=size, **environment) as service,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
    ):
        service.ready()
        fleet = Fleet(service, size)
        with fleet.beating():
            load(browser, service.url)
            paints, ready = zip(*(load(browser, service.url) for _ in range(RUNS)), strict=True)
            took, sizes = polls(service.url)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            _show(page, service.url)
            found = [search(page) for _ in range(RUNS)]
            frames = page.evaluate(_SCROLL)
            time.sleep(20)  # time for some polls
            held = memory(page)
    frames.sort()
    slow = frames[len(frames) * 95 // 100 :]
    return [
        Row(f"{of}: first paint", "ms", paints, [FIRST_PAINT], most=FIRST_PAINT),
        Row(f"{of}: ready to search", "ms", ready, [READY], most=READY),
        Row(f"{of}: a search", "ms", found, [100]),
        Row(f"{of}: poll 5 s later, server's time", "ms", took, [POLL], most=POLL),
        Row(f"{of}: the same, compressed", "KB", sizes, [POLL_SIZE], most=POLL_SIZE),
        Row(f"{of}: memory of the page's process", "MB", [held], [MEMORY], most=MEMORY),
        Row(f"{of}: frames while scrolling", "ms", frames, [1000 / 60]),
        Row(f"{of}: the slowest 5 % of them", "ms", slow, [1000 / 60]),
    ]
