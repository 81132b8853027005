"""Which sensors are worth judging: a lazy heap of the earliest moments they could be down."""

import heapq
from collections.abc import Iterable


class Deadlines:
    """mac by earliest possible deadline (ms). A heartbeat moves nothing here: a sensor whose
    entry comes up is judged by its current last seen and put back, so the cost of a sweep
    follows the deadlines that pass, not the fleet."""

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._heap = list(entries)
        heapq.heapify(self._heap)

    def push(self, deadline: int, mac: int) -> None:
        """Watch one sensor; it must not be watched already."""
        heapq.heappush(self._heap, (deadline, mac))

    def passed(self, horizon: int) -> list[int]:
        """Remove and return the macs whose deadline lies before `horizon`."""
        macs = []
        while self._heap and self._heap[0][0] < horizon:
            macs.append(heapq.heappop(self._heap)[1])
        return macs

    def __len__(self) -> int:
        return len(self._heap)
