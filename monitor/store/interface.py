"""The store contract. One test suite holds every store to it (tests/store)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from monitor.errors import MonitorError
from monitor.model import Heartbeat, Seen


class StoreError(MonitorError):
    """Something the store could not do; the driver's own error is its cause."""


class StoreUnavailable(StoreError):
    """Nothing is known to be written, or nothing could be read: try again later."""


class StoreRejected(StoreError):
    """The store refuses these heartbeats for good; all others of the same call are stored."""

    def __init__(self, refused: Sequence[tuple[Heartbeat, str]]) -> None:
        super().__init__(f"{len(refused)} heartbeats refused; the first: {refused[0][1]}")
        self.refused = refused


class CoverageSpan(NamedTuple):
    """`source` listened without a break over [start, until], and all it received then is stored."""

    source: str
    start: int
    until: int
    closing: bool
    """A farewell: the source stopped cleanly at `until`."""


LogPoint = tuple[str, str, int]
"""A point of an arrival log: source, part, stamp."""


class Cursor(NamedTuple):
    """A place in the arrival log. Opaque to callers except that `position` grows."""

    position: int
    read: frozenset[LogPoint] = frozenset()
    """What lies after `position` in the log and was read already."""


class Arrivals(NamedTuple):
    """What `announce` wrote since a cursor: at least once, in no order."""

    seen: list[Seen]
    watermarks: Mapping[str, int]
    """source -> newest `until` among what was read."""
    cursor: Cursor


class Bucket(NamedTuple):
    """Heartbeats in [start, start + every); metric figures are None where there was none."""

    start: int
    beats: int
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None


class Gap(NamedTuple):
    """Two neighbouring points of a sensor; None: there is none on that side."""

    before: int | None
    after: int | None


class Store(Protocol):
    """Every method raises StoreUnavailable when the store can't be reached. Times: epoch ms."""

    def migrate(self) -> None:
        """Provision what the store needs (file, buckets, retention); harmless to repeat."""

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Durable when it returns. Order does not matter and repeating is harmless.

        The same (mac, time) twice is one heartbeat: metrics merge, the later call wins; it is
        live when one of them was.
        Raises StoreRejected once all rows that can be stored are stored.
        """

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Tell readers who was heard. Called after `append`; any length."""

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """All announced since `after`, some of it perhaps again; None: nothing, only the cursor
        of now. The log holds one day."""

    def pulse(self, pulse: CoverageSpan) -> None:
        """Record listening. A pulse with the same source and start replaces the earlier one."""

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        """Pulses that touch [start, stop], ordered by source and start; neighbouring ones may
        be pieces of one unbroken pulse (then the next one's start <= this one's until)."""

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """mac -> newest Heartbeat.seen at or after `since`; macs without one are absent.

        `live` counts only heartbeats that were live when received.
        """

    def history(
        self, macs: Collection[int], start: int, stop: int, every: int, metric: str | None = None
    ) -> dict[int, list[Bucket]]:
        """Counts per half-open bucket of `every` ms, aligned to the epoch; empty buckets and
        macs without a heartbeat included. Bucket starts lie in [floor(start), stop).

        Raises ValueError when `metric` can't be the name of one."""

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """The points with start <= time < stop in time order, streamed."""

    def gaps(
        self, macs: Collection[int], start: int, stop: int, longer_than: int
    ) -> dict[int, list[Gap]]:
        """mac -> where points lie more than `longer_than` ms apart, by their times and in order.

        Told are gaps that hold moments of [start, stop). The first may begin before `start`, at
        the last point there is; `before` None: none is kept, however long or short the time to
        the first one is. Points at or after `stop` don't count: `after` None, and the gap is as
        long as the time up to `stop`. A mac without a point before `stop`: Gap(None, None)."""

    def newest(self, mac: int, before: int, limit: int) -> list[Heartbeat]:
        """The last points with time < `before`, at most `limit`, the newest first."""

    def metric_names(self) -> set[str]:
        """All metric names stored so far."""

    def forget(self, mac: int) -> None:
        """Delete every heartbeat of one sensor."""

    def expire(self, now: int) -> None:
        """Drop what is older than the retention, where the store does not do so by itself."""

    def ping(self) -> int:
        """The store's own time."""

    def close(self) -> None:
        """Release connections; the store can't be used afterwards."""
