"""The shipper's work while it has the lock: moves heartbeats from the WAL to the store."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from monitor.clock import HOST_TOLERANCE, Clock
from monitor.errors import StateUnavailable
from monitor.ingest.coverage import CoverageTracker
from monitor.ingest.deadletters import DeadLetters
from monitor.ingest.status import ShipperStats
from monitor.ingest.wal.reader import SegmentReader, WalReader
from monitor.model import DAY, MINUTE, SECOND, Heartbeat, Seen
from monitor.store.interface import CoverageSpan, Store, StoreRejected

CHUNK = 10_000
"""Heartbeats in a chunk; the last record may exceed it."""

_CHUNKS_AT_ONCE = 2
"""While the store writes one chunk, the next one is prepared."""

_MARGIN = 5
"""Safety margin (ms): the wall clock may be slewed between the readings of two processes."""

_PULSE_EVERY = 1 * SECOND
_CLOCK_CHECK_EVERY = 10 * SECOND
_EXPIRE_EVERY = 5 * MINUTE
"""Short, so that each run deletes little: nothing is shipped meanwhile."""

_make = Seen._make  # faster than a call of the class

log = logging.getLogger(__name__)

SaveMetricNames = Callable[[Mapping[str, int]], None]
"""Saves metric names, each with a sensor that sent it. May raise StateUnavailable."""


class _Chunk(NamedTuple):
    """Heartbeats that are being written to the store."""

    heartbeats: list[Heartbeat]
    ends: list[tuple[SegmentReader, int]]
    """The segments that they are from, and the position after them."""
    oldest: int
    """When the first one was received."""
    written: Future[None]


class Pipeline:
    """Each `step` observes all workers, ships at most one chunk, and stores coverage when due.

    Chunks are written to the store by several threads at once; all that follows is done in order.

    Raises StoreUnavailable and OSError; the next step then ships the same heartbeats again.
    """

    def __init__(
        self,
        directory: Path,
        source: str,
        store: Store,
        clock: Clock,
        save_metric_names: SaveMetricNames,
    ) -> None:
        self.stats = ShipperStats()
        self.clock_offset = 0
        """The store's clock minus this host's clock at the last check (ms)."""
        self._source, self._store, self._clock = source, store, clock
        self._save_metric_names = save_metric_names
        self._backlog = WalReader(directory / "spool")
        self._dead_letters = DeadLetters(directory / "dead-letters.ndjson")
        self._coverage = CoverageTracker()
        self._steps = clock.steps
        self._settled = 0
        self._pulsed_at = self._checked_at = self._expired_at = 0
        self._saved_names: set[str] = set()
        self._names_saved_on = 0
        self._unsaved_names: dict[str, int] = {}
        self._workers_alive = True
        self._chunks: deque[_Chunk] = deque()
        self._threads = ThreadPoolExecutor(_CHUNKS_AT_ONCE, "store")

    def observe(self) -> None:
        """Reads what all workers have written."""
        now = self._clock.now()
        outlook = self._backlog.look(now)
        if outlook.settled:
            self._settled = now - _MARGIN
        stepped, self._steps = self._clock.steps != self._steps, self._clock.steps
        if stepped:
            self._checked_at = 0
        self._coverage.observe(
            now, self._settled, outlook.alive, outlook.died or stepped, outlook.refusals
        )
        self._backlog.dismiss(outlook.refusals)
        self._workers_alive = outlook.alive
        self.stats.damaged = self._backlog.damaged_so_far
        self.stats.backlog_bytes = self._backlog.waiting

    def step(self) -> bool:
        """Returns whether there is more to ship."""
        self.observe()
        try:
            while len(self._chunks) < _CHUNKS_AT_ONCE and (chunk := self._gather()):
                self._chunks.append(chunk)
            if self._chunks:
                self._finish(self._chunks.popleft())
        except BaseException:
            self._take_back()
            raise
        self._backlog.sweep()
        self._save_names()
        now = self._clock.now()
        if not 0 <= now - self._pulsed_at < _PULSE_EVERY:
            self._pulsed_at = now if self.store_coverage() else 0
        self._maintain(now)
        self.stats.backlog_bytes = self._backlog.waiting
        return bool(self._chunks) or self.stats.backlog_bytes > 0

    def _gather(self) -> _Chunk | None:
        """Takes the next heartbeats, and begins to write them. None if there is nothing to take."""
        heartbeats: list[Heartbeat] = []
        ends: list[tuple[SegmentReader, int]] = []
        for reader in self._backlog.readers:
            if reader.drained:
                continue
            if len(heartbeats) >= CHUNK:
                break
            while not reader.drained and len(heartbeats) < CHUNK:
                heartbeats += reader.take()
            ends.append((reader, reader.position))
        if not ends:
            return None
        oldest = min((beat.received for beat in heartbeats), default=self._settled)
        written = self._threads.submit(self._store.append, heartbeats)
        return _Chunk(heartbeats, ends, oldest, written)

    def _finish(self, chunk: _Chunk) -> None:
        """Waits until the chunk is written; then announces it and marks it as shipped."""
        heartbeats = chunk.heartbeats
        refused: set[tuple[int, int, int]] = set()
        try:
            chunk.written.result()
        except StoreRejected as rejection:
            self._dead_letters.write(rejection.refused, self._clock.now())
            refused = {beat[:3] for beat, _ in rejection.refused}
            self.stats.dead_letters += len(refused)
        stored = [beat for beat in heartbeats if beat[:3] not in refused] if refused else heartbeats
        seen = [
            _make((mac, received if live else time, live))
            for mac, time, received, live, _ in stored
        ]
        self._store.announce(self._source, self.stored_up_to(), seen)
        for reader, end in chunk.ends:
            reader.ship(end)
        self.stats.shipped += len(stored)
        self._remember_names(stored)

    def _take_back(self) -> None:
        """Forgets the chunks that are being written: they are taken again."""
        wait([chunk.written for chunk in self._chunks])
        self._chunks.clear()
        self._backlog.rewind()

    def _remember_names(self, stored: list[Heartbeat]) -> None:
        """Collects metric names to save, each with a sensor that sent it. Each name is saved once a
        day: one that is no longer sent goes out of use."""
        today = self._clock.now() // DAY
        if today != self._names_saved_on:
            self._saved_names.clear()
            self._names_saved_on = today
        names: set[str] = set().union(*(beat.metrics for beat in stored if beat.metrics))
        names -= self._saved_names
        if names:
            for beat in stored:
                for name in names.intersection(beat.metrics or ()):
                    self._unsaved_names.setdefault(name, beat.mac)

    def stored_up_to(self) -> int:
        """Everything received up to this moment (ms) is in the store."""
        waiting = [chunk.oldest for chunk in self._chunks]
        if (oldest := self._backlog.oldest()) is not None:
            waiting.append(oldest)
        return min([self._settled, *(received - 1 for received in waiting)])

    def store_coverage(self) -> bool:
        """Stores the coverage spans. Returns False if there are none."""
        stored = self.stored_up_to()
        spans = self._coverage.to_store(stored)
        for span in spans:
            self._store.add_coverage(
                CoverageSpan(self._source, span.start, span.until, closing=False)
            )
        self._coverage.mark_stored(spans, stored)
        self.stats.watermark = stored
        self.stats.pulsed |= bool(spans)
        return bool(spans)

    def close_coverage(self) -> None:
        """Called when everything is shipped and this worker has stopped. If it was the last one,
        stores the newest span again as closing; otherwise the next shipper starts a new span."""
        self.store_coverage()
        if self._workers_alive:
            return
        now = self._clock.now()
        last = self._coverage.newest_stored
        if last is not None:
            closing_span = CoverageSpan(self._source, last.start, last.until, closing=True)
        else:
            # This shipper has stored no span: the last one is from an earlier shipper.
            own = [p for p in self._store.coverage(now - MINUTE, now) if p.source == self._source]
            if not own:
                return
            closing_span = max(own, key=lambda span: span.until)._replace(closing=True)
        self._store.add_coverage(closing_span)

    def _save_names(self) -> None:
        if not self._unsaved_names:
            return
        try:
            self._save_metric_names(self._unsaved_names)
        except StateUnavailable as error:
            log.warning("metric names are not saved yet: %s", error)
            return
        self._saved_names.update(self._unsaved_names)
        self._unsaved_names = {}

    def _maintain(self, now: int) -> None:
        if not 0 <= now - self._checked_at < _CLOCK_CHECK_EVERY:
            self.clock_offset = self._clock.offset(self._store.ping)
            self._checked_at = now
        if not 0 <= now - self._expired_at < _EXPIRE_EVERY:
            self._store.expire(now)
            self._expired_at = now

    @property
    def trouble(self) -> str | None:
        """Why heartbeats are not stored, or with a wrong time; None if they are."""
        if not self.stats.pulsed:
            return "nothing is stored yet"
        if abs(self.clock_offset) > HOST_TOLERANCE:
            return (
                f"the store's clock differs from this host's by {self.clock_offset / SECOND:+.1f} s"
            )
        return None

    def close(self) -> None:
        """Closes all files."""
        self._threads.shutdown()
        self._backlog.close()
