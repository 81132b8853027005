"""The threads that deliver: a bounded number, with room left for channels that answer."""

import threading
import time
from collections.abc import Callable, Iterable

from monitor.outbox.channel_workers import Outlet
from monitor.state.channels import is_browser

MOST = 6
"""Channels at work at a time, slow ones not counted: of browsers, and of all others."""

MOST_SLOW = 4
"""Slow channels at work at a time: of browsers, and of all others."""


class Workers:
    """Works on each outlet in one thread at a time; browsers come last.

    A channel that hangs, or hung when it was last used, is slow. Slow channels have a few threads
    of their own, so that they delay each other alone.
    """

    def __init__(self, work: Callable[[Outlet], None]) -> None:
        self._work = work
        self._waiting: list[Outlet] = []
        self._working: dict[Outlet, threading.Thread] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()

    def offer(self, outlets: Iterable[Outlet]) -> None:
        """There is work on these, and on no others."""
        self._waiting = sorted(
            outlets, key=lambda outlet: (is_browser(outlet.name), outlet.worked_at)
        )

    def start(self) -> None:
        """As much of it as there is room for."""
        waiting = []
        with self._lock:
            for outlet in self._waiting:
                if outlet in self._working or not outlet.free:
                    continue
                if self._room_for(outlet):
                    outlet.worked_at = time.monotonic()
                    thread = threading.Thread(
                        target=self._run, args=(outlet,), name=f"deliver-{outlet.name}"
                    )
                    self._working[outlet] = thread
                    thread.start()
                else:
                    waiting.append(outlet)
        self._waiting = waiting

    def wait(self, seconds: float) -> None:
        """For so long, or until there may be room for what waits."""
        if not self._waiting:
            time.sleep(seconds)
        elif self._done.wait(seconds):
            self._done.clear()

    def join(self) -> None:
        """Until all of them are done."""
        with self._lock:
            threads = list(self._working.values())
        for thread in threads:
            thread.join()

    def _room_for(self, outlet: Outlet) -> bool:
        browser = is_browser(outlet.name)
        alike = [each for each in self._working if is_browser(each.name) == browser]
        slow = sum(1 for each in alike if each.slow)
        if outlet.slow:
            return slow < MOST_SLOW
        return len(alike) - slow < MOST and len(alike) < MOST + MOST_SLOW

    def _run(self, outlet: Outlet) -> None:
        try:
            self._work(outlet)
        finally:
            with self._lock:
                del self._working[outlet]
            self._done.set()
