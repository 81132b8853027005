"""Work for people without a login: worked out once for all of them, and little of it at a time.

They may be a crowd, or a single person who asks for a thousand badges at once. Neither may take the
threads that people with a login need, nor ask more than a few questions of the store at a time.
"""

from collections.abc import Callable, Hashable
from threading import BoundedSemaphore
from typing import Generic, TypeVar

from monitor.analysis.memory import Memory
from monitor.clock import Clock
from monitor.model import SECOND
from monitor.web.errors import RETRY_AFTER, RequestRefused

AT_ONCE = 2
"""Answers that one worker works out at a time."""

PLACES = 4
"""Requests that work one out or wait for one: fewer than the threads that pages have by default, so
that people with a login find one."""

USABLE = 30 * SECOND
"""So long (ms) an answer will do while its successor is worked out."""

_PATIENCE = 1.0  # seconds

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Busy(RequestRefused):
    """No room for this request at the moment."""

    def __init__(self) -> None:
        wait = str(RETRY_AFTER)
        headers = {"Retry-After": wait, "Refresh": wait}
        super().__init__(503, "The server is busy. Try again soon.", headers=headers)


class Gate:
    """Limits what is worked out at a time; one for all that is public in a worker."""

    def __init__(self) -> None:
        self._places, self._turns = BoundedSemaphore(PLACES), BoundedSemaphore(AT_ONCE)

    def enter(self) -> bool:
        """Take one of the places; False when there is none."""
        return self._places.acquire(blocking=False)

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    def take_turn(self, make: Callable[[], Value]) -> Value:
        """What `make` returns, when it is its turn. Raises Busy when that takes too long."""
        if not self._turns.acquire(timeout=_PATIENCE):
            raise Busy
        try:
            return make()
        finally:
            self._turns.release()


class Answers(Generic[Key, Value]):
    """Kept for `lifetime` ms, at most `most` of them; threads may share it."""

    def __init__(
        self, gate: Gate, clock: Clock, lifetime: int, most: int, usable: int = USABLE
    ) -> None:
        self._gate = gate
        self._kept = Memory[Key, Value](clock, lifetime, most, usable)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The answer, worked out by `make` if need be. Raises Busy, and what `make` raises."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        try:
            return self._worked_out(key, make)
        except Busy:
            old = self._kept.old(key)
            if old is None:
                raise
            return old

    def _worked_out(self, key: Key, make: Callable[[], Value]) -> Value:
        if not self._gate.enter():
            raise Busy
        try:
            return self._kept.shared(key, lambda: self._gate.take_turn(make), _PATIENCE)
        except TimeoutError:
            raise Busy from None
        finally:
            self._gate.leave()
