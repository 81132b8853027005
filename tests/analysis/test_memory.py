"""The cache that threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitor.analysis.memory import Memory
from monitor.clock import Clock
from monitor.model import SECOND
from tests.waiting import eventually


class SettableClock(Clock):
    """A clock that a test sets."""

    time = 1_800_000_000_000

    def now(self) -> int:
        return self.time


class Work:
    """Counts its calls, and blocks until `may_end` is set."""

    def __init__(self) -> None:
        self.times, self.may_end = 0, threading.Event()

    def __call__(self) -> int:
        self.times += 1
        assert self.may_end.wait(60)
        if self.times == 1:
            raise LookupError("the first try fails")
        return self.times


def test_error_is_raised_in_all_waiting_threads_and_next_call_retries() -> None:
    memory, work = Memory[str, int](SettableClock(), SECOND, 10), Work()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(memory.shared, "key", work, 60.0) for _ in range(4)]
        eventually(lambda: work.times == 1)
        work.may_end.set()
        raised = {type(each.exception(60)) for each in waiting} - {type(None)}
    assert raised == {LookupError}
    assert memory.shared("key", work, 60.0) == 2


def test_wait_times_out_while_the_work_continues() -> None:
    memory, work = Memory[str, int](SettableClock(), SECOND, 10), Work()
    work.times = 1
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(memory.shared, "key", work, 60.0)
        eventually(lambda: work.times == 2)
        with pytest.raises(TimeoutError):
            memory.shared("key", work, 0.01)
        work.may_end.set()
        assert first.result() == memory.get("key") == 2


def test_stale_value_is_returned_during_recomputation_until_it_is_too_old() -> None:
    clock = SettableClock()
    memory, work = Memory[str, int](clock, SECOND, 10, 10 * SECOND), Work()
    memory.put("key", 7)
    clock.time += SECOND
    assert memory.get("key") is None
    work.times = 1
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(memory.shared, "key", work, 60.0)
        eventually(lambda: work.times == 2)
        assert memory.shared("key", work, 0.01) == 7
        clock.time += 9 * SECOND
        with pytest.raises(TimeoutError):
            memory.shared("key", work, 0.01)
        work.may_end.set()
        assert first.result() == 2
