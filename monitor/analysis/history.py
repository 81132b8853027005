"""History as pages and the API show it: sparklines, charts, uptime."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Engine

from monitor.analysis.evidence import Archive
from monitor.analysis.gaps import Gap
from monitor.analysis.memory import Memory
from monitor.analysis.uptime import Uptime, uptime
from monitor.clock import Clock
from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat, IncidentView
from monitor.staleness.blindness import BlindWindow, merge
from monitor.state import ledger
from monitor.state.database import reading
from monitor.store.interface import Bucket, Store, StoreUnavailable

SPARKS = 48
"""Number of buckets in a sparkline."""

DAYS = (1, 7, 30, 90)
"""Spans, in days, for which uptime is computed."""

_STEPS = (
    *(n * SECOND for n in (10, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14)),
)
_SPARK_LIFETIME = 30 * SECOND
_SPARKS_KEPT = 20_000
_UPTIME_LIFETIME = MINUTE
_UPTIMES_KEPT = 10_000
_UPTIME_TIMEOUT = 5.0  # seconds
_MAX_INCIDENTS = 500
_METRICS_SAMPLE = 20  # heartbeats


class Sparklines(NamedTuple):
    """mac -> heartbeats in each bucket of `every` ms from `start`; the last is incomplete."""

    start: int
    every: int
    beats: Mapping[int, Sequence[int]]


class UptimeSpan(NamedTuple):
    """Uptime over [start, stop): the last `days`, or as much of them as is stored."""

    days: int
    start: int
    stop: int
    uptime: Uptime


class Chart(NamedTuple):
    """One sensor over [start, stop). Windows are cut to it; gaps may begin before it."""

    start: int
    stop: int
    every: int
    """Width of a bucket in ms."""
    buckets: list[Bucket]
    """The first may begin before `start`."""
    metrics: Mapping[str, list[Bucket]]
    """The same buckets with the values of a metric."""
    silences: list[Gap]
    cases: list[IncidentView]
    """Incidents, the newest first."""
    blind: list[BlindWindow]
    maintenance: list[BlindWindow]
    paused: list[BlindWindow]


class History:
    """The history of sensors. Thread-safe.

    Every method raises StoreUnavailable and StateUnavailable; those for one sensor also raise
    UnknownSensor.
    """

    def __init__(
        self, store: Store, engine: Engine, clock: Clock, threshold: int, retention: int
    ) -> None:
        """`threshold` (the default) and `retention` in ms."""
        self._archive = Archive(store, engine, clock, threshold, retention)
        self._store, self._engine, self._clock = store, engine, clock
        self._sparks = Memory[tuple[int, int, int], list[int]](clock, _SPARK_LIFETIME, _SPARKS_KEPT)
        self._uptimes = Memory[int, list[UptimeSpan]](clock, _UPTIME_LIFETIME, _UPTIMES_KEPT)

    def sparklines(self, macs: Collection[int], length: int) -> Sparklines:
        """Counts for the last `length` ms, a multiple of SPARKS, with one query to the store.

        Counts are up to 30 seconds old.
        """
        every = length // SPARKS
        stop = self._clock.now() // every * every + every
        start = stop - length
        counts: dict[int, list[int]] = {}
        for mac in macs:
            cached = self._sparks.get((mac, start, every))
            if cached is not None:
                counts[mac] = cached
        missing = [mac for mac in macs if mac not in counts]
        if missing:
            for mac, buckets in self._store.history(missing, start, stop, every).items():
                counts[mac] = [bucket.beats for bucket in buckets]
                self._sparks.put((mac, start, every), counts[mac])
        return Sparklines(start, every, counts)

    def uptimes(self, mac: int) -> list[UptimeSpan]:
        """Uptime for each of DAYS. Up to a minute old: see `stop`."""
        try:
            return self._uptimes.shared(mac, lambda: self._spans(mac), _UPTIME_TIMEOUT)
        except TimeoutError as error:
            raise StoreUnavailable("the store is too slow") from error

    def _spans(self, mac: int) -> list[UptimeSpan]:
        now = self._clock.now()
        known = self._archive.evidence(mac, now - DAYS[-1] * DAY, now)
        spans = []
        for days in DAYS:
            start = max(known.start, known.stop - days * DAY)
            spans.append(UptimeSpan(days, start, known.stop, uptime(known, start)))
        return spans

    def uptime(self, mac: int, start: int, stop: int) -> Uptime:
        """Uptime over [start, stop), limited to past time within the retention."""
        return uptime(self._archive.evidence(mac, start, stop))

    def chart(
        self, mac: int, start: int, stop: int, points: int, metrics: Sequence[str] = ()
    ) -> Chart:
        """At most `points` buckets, or one more if the first begins before `start`.

        The span is limited to past time within the retention. Raises ValueError for an invalid
        metric name.
        """
        known = self._archive.evidence(mac, start, stop)
        start, stop = known.start, known.stop
        every = step(stop - start, points)
        figures = {
            name: self._store.history([mac], start, stop, every, name)[mac] for name in metrics
        }
        buckets = next(iter(figures.values()), None)
        if buckets is None:
            buckets = self._store.history([mac], start, stop, every)[mac]
        with reading(self._engine) as connection:
            cases = ledger.cases(connection, _MAX_INCIDENTS, mac=mac, since=start)
        return Chart(
            start,
            stop,
            every,
            buckets,
            figures,
            known.judged_gaps,
            [case for case in cases if case.last_seen < stop],
            *(
                _within(windows, start, stop)
                for windows in (known.blind, known.maintenance, known.paused)
            ),
        )

    def heartbeats(self, mac: int, before: int | None, limit: int) -> list[Heartbeat]:
        """Up to `limit` heartbeats, the newest first: those before `before`, or the latest."""
        self._archive.sensor(mac)
        latest = self._clock.now() + HOUR
        before = latest if before is None else min(max(before, 0), latest)
        return self._store.newest(mac, before, limit)

    def metrics(self, mac: int) -> list[str]:
        """Names of the metrics in the sensor's latest heartbeats."""
        beats = self.heartbeats(mac, None, _METRICS_SAMPLE)
        return sorted({name for beat in beats for name in beat.metrics or ()})


def step(length: int, points: int) -> int:
    """The smallest round width (ms) that covers `length` with at most `points` buckets."""
    for width in _STEPS:
        if width * points >= length:
            return width
    return -(-length // (points * DAY)) * DAY


def _within(windows: Collection[BlindWindow], start: int, stop: int) -> list[BlindWindow]:
    return merge(BlindWindow(max(w.start, start), min(w.stop, stop)) for w in windows)
