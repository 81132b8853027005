"""Polls for a condition instead of sleeping for a fixed time."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")


def eventually(
    condition: Callable[[], T | Literal[False] | None], seconds: float = 30.0, every: float = 0.02
) -> T:
    """The first truthy value of `condition`. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        time.sleep(every)
