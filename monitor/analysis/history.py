"""What pages and the API show of the past: sparklines, charts, uptime."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Engine

from monitor.analysis.evidence import Archive
from monitor.analysis.gaps import Gap
from monitor.analysis.memory import Memory
from monitor.analysis.uptime import Uptime, uptime
from monitor.clock import Clock
from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat
from monitor.staleness.blindness import BlindWindow, merge
from monitor.state import ledger
from monitor.state.database import reading
from monitor.state.ledger import IncidentView
from monitor.store.interface import Bucket, Store, StoreUnavailable

SPARKS = 48
"""Buckets of a sparkline."""

DAYS = (1, 7, 30, 90)
"""Spans for which uptime is told."""

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
_PATIENCE = 5.0  # seconds
_MOST_CASES = 500
_LOOKED_AT = 20


class Sparklines(NamedTuple):
    """mac -> heartbeats in each bucket of `every` ms from `start` on; the last lasts yet."""

    start: int
    every: int
    beats: Mapping[int, Sequence[int]]


class UptimeSpan(NamedTuple):
    """Uptime over [start, stop), the last `days` of it or what is kept of them."""

    days: int
    start: int
    stop: int
    uptime: Uptime


class Chart(NamedTuple):
    """One sensor over [start, stop); windows lie within, silences may begin before."""

    start: int
    stop: int
    every: int
    """Width of a bucket in ms."""
    buckets: list[Bucket]
    """The first may begin before `start`."""
    metrics: Mapping[str, list[Bucket]]
    """The same buckets with the figures of a metric."""
    silences: list[Gap]
    cases: list[IncidentView]
    """Incidents, the newest first."""
    blind: list[BlindWindow]
    maintenance: list[BlindWindow]
    paused: list[BlindWindow]


class History:
    """The past of sensors. Threads may share it; everything raises StoreUnavailable,
    StateUnavailable, and what is about one sensor UnknownSensor."""

    def __init__(
        self, store: Store, engine: Engine, clock: Clock, threshold: int, retention: int
    ) -> None:
        """`threshold` (the default one) and `retention` in ms."""
        self._archive = Archive(store, engine, clock, threshold, retention)
        self._store, self._engine, self._clock = store, engine, clock
        self._sparks = Memory[tuple[int, int, int], list[int]](clock, _SPARK_LIFETIME, _SPARKS_KEPT)
        self._uptimes = Memory[int, list[UptimeSpan]](clock, _UPTIME_LIFETIME, _UPTIMES_KEPT)

    def sparklines(self, macs: Collection[int], length: int) -> Sparklines:
        """The last `length` ms, a multiple of SPARKS, in one question to the store.

        Counts may be half a minute old.
        """
        every = length // SPARKS
        stop = self._clock.now() // every * every + every
        start = stop - length
        found: dict[int, list[int]] = {}
        for mac in macs:
            kept = self._sparks.get((mac, start, every))
            if kept is not None:
                found[mac] = kept
        missing = [mac for mac in macs if mac not in found]
        if missing:
            for mac, buckets in self._store.history(missing, start, stop, every).items():
                found[mac] = [bucket.beats for bucket in buckets]
                self._sparks.put((mac, start, every), found[mac])
        return Sparklines(start, every, found)

    def uptimes(self, mac: int) -> list[UptimeSpan]:
        """For each of DAYS; up to a minute old, as `stop` says."""
        try:
            return self._uptimes.shared(mac, lambda: self._spans(mac), _PATIENCE)
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
        """Over what of [start, stop) is past and kept."""
        return uptime(self._archive.evidence(mac, start, stop))

    def chart(
        self, mac: int, start: int, stop: int, points: int, metrics: Sequence[str] = ()
    ) -> Chart:
        """At most `points` buckets, or one more where the first begins before `start`.

        The span is cut to the time that is past and kept. Raises ValueError for what can be no
        metric.
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
            cases = ledger.cases(connection, _MOST_CASES, mac=mac, since=start)
        return Chart(
            start,
            stop,
            every,
            buckets,
            figures,
            known.silences,
            [case for case in cases if case.last_seen < stop],
            *(
                _within(windows, start, stop)
                for windows in (known.blind, known.maintenance, known.paused)
            ),
        )

    def heartbeats(self, mac: int, before: int | None, limit: int) -> list[Heartbeat]:
        """The newest first, older than `before`; None: all there are."""
        self._archive.sensor(mac)
        latest = self._clock.now() + HOUR
        before = latest if before is None else min(max(before, 0), latest)
        return self._store.newest(mac, before, limit)

    def metrics(self, mac: int) -> list[str]:
        """Names of the metrics that came with its latest heartbeats."""
        beats = self.heartbeats(mac, None, _LOOKED_AT)
        return sorted({name for beat in beats for name in beat.metrics or ()})


def step(length: int, points: int) -> int:
    """The least even width (ms) of which at most `points` make up `length`."""
    for width in _STEPS:
        if width * points >= length:
            return width
    return -(-length // (points * DAY)) * DAY


def _within(windows: Collection[BlindWindow], start: int, stop: int) -> list[BlindWindow]:
    return merge(BlindWindow(max(w.start, start), min(w.stop, stop)) for w in windows)
