"""Responses for viewers without a login: computed once for all viewers, and few at a time.

There may be many such viewers, and one of them may request a thousand badges at once. Some threads
have to remain for users with a login, and the store must not receive many queries at a time.
"""

from collections.abc import Callable, Hashable
from threading import BoundedSemaphore
from typing import Generic, TypeVar

from monitor.analysis.memory import Memory
from monitor.clock import Clock
from monitor.model import SECOND
from monitor.web.errors import RETRY_AFTER, RequestRefused

AT_ONCE = 2
"""The maximum number of answers that a worker computes at a time."""

PLACES = 4
"""The maximum number of requests that compute an answer or wait for one. It is lower than the
default number of threads for pages, so that some remain for users with a login."""

USABLE = 30 * SECOND
"""How long (ms) an old answer may be used while a new one is computed."""

_PATIENCE = 1.0  # seconds

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Busy(RequestRefused):
    """The limits are reached: the client should retry."""

    def __init__(self) -> None:
        wait = str(RETRY_AFTER)
        headers = {"Retry-After": wait, "Refresh": wait}
        super().__init__(503, "The server is busy. Try again soon.", headers=headers)


class Gate:
    """Limits concurrent computations. A worker has one gate for all its public views."""

    def __init__(self) -> None:
        self._places, self._turns = BoundedSemaphore(PLACES), BoundedSemaphore(AT_ONCE)

    def enter(self) -> bool:
        """Take one of the places; False if none is free."""
        return self._places.acquire(blocking=False)

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    def take_turn(self, make: Callable[[], Value]) -> Value:
        """Call `make` when a turn is free. Raises Busy after a timeout, and what `make` raises."""
        if not self._turns.acquire(timeout=_PATIENCE):
            raise Busy
        try:
            return make()
        finally:
            self._turns.release()


class Answers(Generic[Key, Value]):
    """A cache of at most `most` answers, for `lifetime` ms each. Threads may share it."""

    def __init__(
        self, gate: Gate, clock: Clock, lifetime: int, most: int, usable: int = USABLE
    ) -> None:
        self._gate = gate
        self._kept = Memory[Key, Value](clock, lifetime, most, usable)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The answer, computed by `make` if necessary. Raises Busy, and what `make` raises."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        try:
            return self._computed(key, make)
        except Busy:
            old = self._kept.old(key)
            if old is None:
                raise
            return old

    def _computed(self, key: Key, make: Callable[[], Value]) -> Value:
        if not self._gate.enter():
            raise Busy
        try:
            return self._kept.shared(key, lambda: self._gate.take_turn(make), _PATIENCE)
        except TimeoutError:
            raise Busy from None
        finally:
            self._gate.leave()
