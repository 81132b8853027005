"""The one place that reads a clock: wall time carried by the boot clock, so that a step shows."""

import threading
import time
from collections.abc import Callable

STEP = 1_000
"""A difference between wall and boot clock above this many milliseconds is a step."""


class Clock:
    """Wall-clock milliseconds that advance with the boot clock (which counts suspends too).

    When the wall clock has been stepped (by a person, by NTP after a bad start) the next reading
    follows it and `steps` grows by one; smaller differences are followed silently.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._lock = threading.Lock()
        self._offset = self._measured_offset()

    @staticmethod
    def _measured_offset() -> int:
        return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000_000

    def now(self) -> int:
        """Milliseconds since the epoch."""
        offset = self._measured_offset()
        if offset != self._offset:
            with self._lock:
                if abs(offset - self._offset) > STEP:
                    self.steps += 1
                self._offset = offset
        return time.time_ns() // 1_000_000

    def offset(self, other: Callable[[], int]) -> int:
        """How far the clock that `other` asks is ahead of this one (ms), as far as that is
        certain: an answer that takes long may have been given at any moment meanwhile."""
        asked = self.now()
        answer = other()
        return max(answer - self.now(), min(0, answer - asked))
