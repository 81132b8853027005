"""Counters that the workers of one server share, for /metrics."""

import mmap
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

_SLOTS = 1_024
"""Each worker counts in a slot of its own, found by its process id: adding is not atomic between
processes. Two living workers share one, and may then miss a count, only if their ids differ by a
multiple of this."""

_SIZE = 8


class SharedCounts:
    """Made before the workers are forked; each of them adds, and any of them reads the sums."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: everything that can be counted."""
        self._columns = {name: column for column, name in enumerate(names)}
        self._counts = memoryview(mmap.mmap(-1, _SLOTS * len(names) * _SIZE)).cast("q")
        self._lock = threading.Lock()

    def add(self, names: Iterable[str]) -> None:
        """One more of each; the same name may come several times."""
        first = os.getpid() % _SLOTS * len(self._columns)
        with self._lock:
            for name, times in Counter(names).items():
                self._counts[first + self._columns[name]] += times

    def totals(self) -> Mapping[str, int]:
        """How often each was counted since the server started."""
        step = len(self._columns)
        return {name: sum(self._counts[column::step]) for name, column in self._columns.items()}
