"""Counters shared by the workers of one server, for /metrics."""

import mmap
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from monitor.ingest.fields import DETAILS
from monitor.refusal import REASONS

_SLOTS = 1_024
"""Each worker has its own slot, chosen by its process id, because adding is not atomic between
processes. Two workers share a slot, and may lose a count, only if their ids differ by a multiple
of this."""

_SIZE = 8


class SharedCounts:
    """Created before the workers are forked. Every worker can add, and read the totals."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: the names of all counters."""
        self._columns = {name: column for column, name in enumerate(names)}
        self._counts = memoryview(mmap.mmap(-1, _SLOTS * len(names) * _SIZE)).cast("q")
        self._lock = threading.Lock()

    def add(self, names: Iterable[str]) -> None:
        """Adds one to each counter; a name may occur several times."""
        first = os.getpid() % _SLOTS * len(self._columns)
        with self._lock:
            for name, times in Counter(names).items():
                self._counts[first + self._columns[name]] += times

    def totals(self) -> Mapping[str, int]:
        """Name -> count since the server started."""
        step = len(self._columns)
        return {name: sum(self._counts[column::step]) for name, column in self._columns.items()}


class ServerCounts(NamedTuple):
    """All counters of the ingest app."""

    ignored_fields: SharedCounts
    """Named by the reasons in `fields.DETAILS`."""
    refused_heartbeats: SharedCounts
    """Named by the reasons in `refusal.REASONS`."""


def new_counts() -> ServerCounts:
    """Counters that are all zero."""
    return ServerCounts(SharedCounts(list(DETAILS)), SharedCounts(list(REASONS)))
