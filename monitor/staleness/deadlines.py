"""Selects the sensors to judge: a lazy heap of the earliest time when each could be down."""

import heapq
from collections.abc import Iterable


class Deadlines:
    """MAC addresses by earliest possible deadline (ms).

    A heartbeat does not change the heap. A sensor whose deadline passed is judged by its current
    last seen and pushed again. So a sweep costs time for each passed deadline, not for each sensor.
    """

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._heap = list(entries)
        heapq.heapify(self._heap)

    def push(self, deadline: int, mac: int) -> None:
        """Adds a sensor that is not in the heap."""
        heapq.heappush(self._heap, (deadline, mac))

    def passed(self, horizon: int) -> list[int]:
        """Removes and returns the sensors whose deadline is before `horizon`."""
        macs = []
        while self._heap and self._heap[0][0] < horizon:
            macs.append(heapq.heappop(self._heap)[1])
        return macs

    def __len__(self) -> int:
        return len(self._heap)
