"""What was worked out a moment ago and may be said again."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from monitor.clock import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """At most `most` values, each for `lifetime` ms; threads may share it."""

    def __init__(self, clock: Clock, lifetime: int, most: int) -> None:
        self._clock, self._lifetime, self._most = clock, lifetime, most
        self._lock = threading.Lock()
        self._kept: dict[Key, tuple[int, Value]] = {}

    def get(self, key: Key) -> Value | None:
        """The value, if it is young enough."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or not 0 <= self._clock.now() - kept[0] < self._lifetime:
            return None
        return kept[1]

    def put(self, key: Key, value: Value) -> None:
        """Keep it from now on, if need be in place of the oldest."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = self._clock.now(), value
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
