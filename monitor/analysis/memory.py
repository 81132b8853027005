"""A cache of results that are expensive to compute."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from monitor.clock import Clock

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Keeps at most `most` values, each for `lifetime` ms. Thread-safe."""

    def __init__(self, clock: Clock, lifetime: int, most: int, usable: int = 0) -> None:
        """`usable`: ms for which a stale value may be served while a new one is computed."""
        self._clock, self._lifetime, self._most = clock, lifetime, most
        self._usable = max(usable, lifetime)
        self._lock = threading.Lock()
        self._kept: dict[Key, tuple[int, Value]] = {}
        self._in_work: dict[Key, Future[Value]] = {}

    def get(self, key: Key) -> Value | None:
        """The value, if it is fresh."""
        return self._younger(key, self._lifetime)

    def old(self, key: Key) -> Value | None:
        """The value, if it is fresh or stale but still usable."""
        return self._younger(key, self._usable)

    def put(self, key: Key, value: Value) -> None:
        """Stores the value, and removes the oldest ones above the maximum."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = self._clock.now(), value
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def shared(self, key: Key, make: Callable[[], Value], patience: float) -> Value:
        """The value if it is fresh; otherwise `make()`, called by one thread at a time per key.

        Meanwhile other threads get the stale value, or wait for the new one: at most `patience`
        seconds, then TimeoutError. An exception from `make` is raised in every waiting thread.
        """
        own: Future[Value] = Future()
        with self._lock:
            in_work = self._in_work.setdefault(key, own)
        if in_work is own:
            return self._made(key, make, own)
        old = self.old(key)
        return in_work.result(patience) if old is None else old

    def _made(self, key: Key, make: Callable[[], Value], own: Future[Value]) -> Value:
        try:
            value = self.get(key)
            if value is None:
                value = make()
                self.put(key, value)
        except BaseException as error:
            own.set_exception(error)
            raise
        else:
            own.set_result(value)
            return value
        finally:
            with self._lock:
                del self._in_work[key]

    def _younger(self, key: Key, age: int) -> Value | None:
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or not 0 <= self._clock.now() - kept[0] < age:
            return None
        return kept[1]
