"""The wall clock, compared with the boot clock to detect steps."""

import threading
import time
from collections.abc import Callable

from monitor.model import MINUTE, SECOND

STEP = 1 * SECOND
"""A change of the difference between wall and boot clock above this (ms) is a step."""

HOST_TOLERANCE = 2 * SECOND
"""The tolerated difference between the clocks of two hosts (ms)."""

WRONG_CLOCK = 10 * SECOND
"""If a host's clock differs from the store's by more than this (ms), the host must neither accept
heartbeats, which would be stored with wrong times, nor judge sensors."""

SENSOR_TOLERANCE = 1 * MINUTE
"""How far a sensor's clock may be ahead (ms): later times are ignored, and refused as history."""


class Clock:
    """The wall clock in milliseconds. Counts its steps by comparing it with the boot clock, which
    also runs while the host is suspended.

    If the wall clock was stepped (manually or by NTP), the next reading increases `steps` by one.
    Smaller changes are ignored.
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
        """The clock that `other` reads minus this one (ms). It is the smallest difference that is
        consistent with the time that the call took."""
        before = self.now()
        answer = other()
        return max(answer - self.now(), min(0, answer - before))
