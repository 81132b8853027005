"""What one worker refused, for pages, alerts, metrics and the log."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.ingest.counts import SharedCounts
from monitor.model import format_mac
from monitor.refusal import REASONS
from monitor.state import refusals
from monitor.state.database import writing
from monitor.state.refusals import Refused

_SAVE_EVERY = 2.0
_LOG_EVERY = 60.0
"""Seconds."""

_MOST_SAVED = 5_000
"""Sensors in one transaction. The others wait for the next one."""

_SHARE = 0.05
"""The most time that a worker spends on reading refused requests: anyone can send them."""

log = logging.getLogger(__name__)


class RefusalsToSave(NamedTuple):
    """What was refused since the last time."""

    last: Mapping[int, Refused]
    """MAC address -> the last refusal."""
    counts: Mapping[str, int]
    """Reason -> number of heartbeats."""


Save = Callable[[RefusalsToSave], None]
"""Raises StateUnavailable."""


def saver(engine: Engine, clock: Clock) -> Save:
    """A function that saves refusals in the state."""

    def save(refused: RefusalsToSave) -> None:
        with writing(engine) as connection:
            refusals.record(connection, *refused, clock.now())

    return save


class RefusedHeartbeats:
    """Counts refused heartbeats, and remembers the last one of each registered sensor. So neither
    memory nor state grows with what strangers send. Thread-safe."""

    def __init__(
        self, totals: SharedCounts, is_registered: Callable[[int], bool], save: Save, clock: Clock
    ) -> None:
        """`totals`: counters, named by the keys of REASONS."""
        self._totals, self._is_registered = totals, is_registered
        self._save, self._clock = save, clock
        self._lock = threading.Lock()
        self._last: dict[int, Refused] = {}
        self._counts: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}
        self._example: dict[str, int] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refused", daemon=True)

    def start(self) -> None:
        """Begins to save every two seconds."""
        self._thread.start()

    def close(self) -> None:
        """Stops saving."""
        self._closing.set()
        self._thread.join()

    def add(self, reason: str, number: int, senders: Sequence[int] | None) -> None:
        """Counts `number` heartbeats. `senders`: the MAC addresses of those that can be read; None:
        the request was not read."""
        self._totals.add([reason] * number)
        readable = number if senders is None else len(senders)
        now = self._clock.now()
        with self._lock:
            self._unlogged[reason] += number
            if readable:
                self._counts[reason] += readable
            for mac in senders or ():
                self._example[reason] = mac
                if self._is_registered(mac):
                    self._last.pop(mac, None)  # the longest unsaved sensor stays the first
                    self._last[mac] = Refused(now, reason)

    def save(self) -> None:
        """Saves and logs what was refused since the last call."""
        with self._lock:
            chosen = list(self._last)[:_MOST_SAVED]
            taken = RefusalsToSave({mac: self._last.pop(mac) for mac in chosen}, self._counts)
            self._counts = Counter()
            lines = self._lines(monotonic())
        for line in lines:
            log.warning("%s", line)
        if not taken.last and not taken.counts:
            return
        try:
            self._save(taken)
        except StateUnavailable as error:
            log.warning("refused heartbeats are not recorded yet: %s", error)
            with self._lock:
                self._last = {**taken.last, **self._last}

    def _run(self) -> None:
        while not self._closing.wait(_SAVE_EVERY):
            self.save()

    def _lines(self, now: float) -> list[str]:
        """One line a minute for each reason."""
        lines = []
        for reason, number in list(self._unlogged.items()):
            if now - self._logged_at.get(reason, -_LOG_EVERY) < _LOG_EVERY:
                continue
            self._logged_at[reason] = now
            del self._unlogged[reason]
            mac = self._example.pop(reason, None)
            sensor = "" if mac is None else f"; one of them from {format_mac(mac)}"
            word = "heartbeat" if number == 1 else "heartbeats"
            lines.append(f"{number} {word} refused: {REASONS[reason]}{sensor}")
        return lines


class ReadingTime:
    """Limits the time in which one worker reads refused requests, to find their sensors."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._second, self._spent = 0, 0.0

    def read(self, parse: Callable[[], Collection[int]]) -> list[int] | None:
        """What `parse` returns; None if the time is used up."""
        began = self._now()
        if int(began) != self._second:
            self._second, self._spent = int(began), 0.0
        if self._spent > _SHARE:
            return None
        try:
            return list(parse())
        finally:
            self._spent += self._now() - began
