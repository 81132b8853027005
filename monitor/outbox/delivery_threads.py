"""The threads that deliver messages: at most a fixed number, a few of them for slow channels."""

import threading
import time
from collections.abc import Callable, Iterable

from monitor.outbox.channel_workers import ChannelWorker
from monitor.state.channels import is_browser

LIMIT = 6
"""Threads for channels that are not slow: so many for browsers, and for all other channels."""

SLOW_LIMIT = 4
"""Threads for slow channels: so many for browsers, and for all other channels."""


class DeliveryThreads:
    """Runs each channel worker in at most one thread at a time; browsers come last.

    A channel is slow if its current send takes long, or its last one did. Slow channels have
    threads of their own, so that they delay only each other.
    """

    def __init__(self, work: Callable[[ChannelWorker], None]) -> None:
        self._work = work
        self._waiting: list[ChannelWorker] = []
        self._working: dict[ChannelWorker, threading.Thread] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()

    def set_waiting(self, workers: Iterable[ChannelWorker]) -> None:
        """Sets the workers that have something to do; it replaces those of the last call."""
        self._waiting = sorted(
            workers, key=lambda worker: (is_browser(worker.name), worker.last_turn_at)
        )

    def start(self) -> None:
        """Starts as many of the waiting workers as the limits allow."""
        waiting = []
        with self._lock:
            for worker in self._waiting:
                if worker in self._working or not worker.available:
                    continue
                if not self._has_room(worker):
                    waiting.append(worker)
                    continue
                worker.last_turn_at = time.monotonic()
                thread = threading.Thread(
                    target=self._run, args=(worker,), name=f"deliver-{worker.name}"
                )
                self._working[worker] = thread
                thread.start()
        self._waiting = waiting

    def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or earlier if a thread has ended and workers are waiting."""
        if not self._waiting:
            time.sleep(seconds)
        elif self._done.wait(seconds):
            self._done.clear()

    def join(self) -> None:
        """Waits until all threads have ended."""
        with self._lock:
            threads = list(self._working.values())
        for thread in threads:
            thread.join()

    def _has_room(self, worker: ChannelWorker) -> bool:
        browser = is_browser(worker.name)
        alike = [each for each in self._working if is_browser(each.name) == browser]
        slow = sum(1 for each in alike if each.slow)
        if worker.slow:
            return slow < SLOW_LIMIT
        return len(alike) - slow < LIMIT and len(alike) < LIMIT + SLOW_LIMIT

    def _run(self, worker: ChannelWorker) -> None:
        try:
            self._work(worker)
        finally:
            with self._lock:
                del self._working[worker]
            self._done.set()
