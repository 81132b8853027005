"""The interface of stores. One test suite checks every store against it (tests/store)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from monitor.errors import MonitorError
from monitor.model import Heartbeat, Seen


class StoreError(MonitorError):
    """An operation of the store failed; the driver's error is the cause."""


class StoreUnavailable(StoreError):
    """The write may have failed, or the read failed: try again later."""


class StoreRejected(StoreError):
    """The store rejects these heartbeats permanently; all others of the call are stored."""

    def __init__(self, refused: Sequence[tuple[Heartbeat, str]]) -> None:
        super().__init__(f"{len(refused)} heartbeats refused; the first: {refused[0][1]}")
        self.refused = refused


class CoverageSpan(NamedTuple):
    """`source` accepted every valid heartbeat over [start, until], and all of them are stored."""

    source: str
    start: int
    until: int
    closing: bool
    """Whether the source stopped cleanly at `until`."""


LogPoint = tuple[str, str, int]
"""A point of an arrival log: source, part, timestamp."""


class Cursor(NamedTuple):
    """A position in the arrival log. Opaque to callers, except that `position` increases."""

    position: int
    read: frozenset[LogPoint] = frozenset()
    """The points after `position` that were read already."""


class Arrivals(NamedTuple):
    """What `announce` wrote since a cursor: each at least once, in any order."""

    seen: list[Seen]
    watermarks: Mapping[str, int]
    """source -> newest `until` in these arrivals."""
    cursor: Cursor


class Bucket(NamedTuple):
    """Heartbeats in [start, start + every); the metric's values are None if there was none."""

    start: int
    beats: int
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None


class Gap(NamedTuple):
    """Two consecutive points of a sensor (ms); None: there is no point on that side."""

    before: int | None
    after: int | None


class Store(Protocol):
    """Every method raises StoreUnavailable if the store can't be reached. Times are epoch ms."""

    def migrate(self) -> None:
        """Creates what the store needs (file, buckets, retention). Idempotent."""

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Stores heartbeats durably. Idempotent; the order does not matter.

        Two heartbeats with the same (mac, time) become one: metrics are merged, and values of the
        later call win; it is live if one of them was.
        Raises StoreRejected after all valid rows are stored.
        """

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Writes stored heartbeats, any number, to the arrival log. Called after `append`."""

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """Everything announced since `after`, some of it maybe twice. For None: nothing, only the
        current cursor. The log covers one day."""

    def add_coverage(self, span: CoverageSpan) -> None:
        """Stores a coverage span. It replaces an earlier one of the same source and start."""

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        """Coverage spans that overlap [start, stop], ordered by source and start. Adjacent ones may
        be pieces of one span (then the next one's start <= this one's until)."""

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """mac -> newest Heartbeat.seen at or after `since`; sensors without one are absent.

        `live`: only heartbeats that were live when received.
        """

    def history(
        self, macs: Collection[int], start: int, stop: int, every: int, metric: str | None = None
    ) -> dict[int, list[Bucket]]:
        """mac -> counts in half-open buckets of `every` ms, aligned to the epoch. Bucket starts are
        in [floor(start), stop). Includes empty buckets and sensors without a heartbeat.

        Raises ValueError if `metric` is not a valid metric name."""

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """Streams the heartbeats with start <= time < stop, ordered by time."""

    def gaps(
        self, macs: Collection[int], start: int, stop: int, longer_than: int
    ) -> dict[int, list[Gap]]:
        """mac -> where consecutive points are more than `longer_than` ms apart, ordered by time.

        Returns gaps that overlap [start, stop). The first may begin before `start`, at the last
        point before it. If no such point is stored, `before` is None, whatever the time to the
        first point. Points at or after `stop` are ignored: the last gap then has `after` None and
        ends at `stop`. For a sensor without a point before `stop`: Gap(None, None)."""

    def newest(self, mac: int, before: int, limit: int) -> list[Heartbeat]:
        """At most `limit` heartbeats with time < `before`, the newest first."""

    def metric_names(self) -> set[str]:
        """All metric names stored so far."""

    def forget(self, mac: int) -> None:
        """Deletes all heartbeats of one sensor."""

    def expire(self, now: int) -> None:
        """Deletes everything older than the retention, if the store does not do so by itself."""

    def ping(self) -> int:
        """Returns the time of the store's clock."""

    def close(self) -> None:
        """Closes the connections. The store can't be used afterwards."""
