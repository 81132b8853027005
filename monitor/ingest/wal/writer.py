"""The writing side of the spool: one worker's current segment. A returned append is on disk."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.format import OVERHEAD, RefusalMarker, SegmentWriter, encode

ROTATE_AT = 8 * 1024 * 1024
"""A segment longer than this is followed by a new one, so that what was shipped can go."""

_ROUND = 1.0
"""Seconds between the keeper's rounds: the most that a power cut takes away."""

log = logging.getLogger(__name__)


class WalUnavailable(Exception):
    """The heartbeats could not be written: no room, or the disk fails."""


class WalWriter:
    """Made in each worker, after the fork. Any thread may call its methods."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        limit: int,
        always_sync: bool,
        trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`limit`: bytes that all segments in `directory` may take together.

        `always_sync`: each append waits for the disk; otherwise the disk is told every second.
        `trouble`: asked every second, why nothing may be taken in for now.
        Raises OSError when the directory can't be used at all; a full disk is not that.
        """
        self._directory, self._clock = directory, clock
        self._limit, self._always_sync = limit, always_sync
        self._find_trouble, self._trouble = trouble, trouble()
        self._lock = threading.Lock()
        self._retired: list[SegmentWriter] = []
        self._segment: SegmentWriter | None = None
        self._marker: RefusalMarker | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self._room = limit - _size(directory)
        try:
            self._segment = SegmentWriter(directory, clock.now())
        except OSError as error:
            log.error("no room for a segment: %s", error)
            self._marker = RefusalMarker(directory, clock.now())
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="spool-keeper", daemon=True)
        self._keeper.start()

    def append(self, reports: Sequence[Report]) -> int:
        """Write one record and return the moment it was received (ms).

        When it returns, the record survives this process. Raises WalUnavailable, and then that
        moment counts as not listened to.
        """
        payload = encode(reports)
        checksum, size = crc32(payload), OVERHEAD + len(payload)
        with self._lock:
            segment = self._segment
            if (
                segment is None
                or segment.length > ROTATE_AT
                or (segment.refusing and segment.drained)
            ):
                segment = self._rotate()
            refusing = segment.refusing
            try:
                if self._trouble is not None:
                    segment.refuse(self._clock.now)
                    raise OSError(self._trouble)
                if size > self._room:
                    segment.refuse(self._clock.now)
                    raise OSError(
                        f"the write-ahead log has reached its limit of {self._limit} "
                        "bytes (ingest.spool_limit)"
                    )
                received = segment.append(payload, checksum, self._clock.now)
            except OSError as error:
                if not refusing:
                    log.error("heartbeats are refused: %s", error)
                raise WalUnavailable(str(error)) from error
            self._room -= size
        if refusing:
            log.warning("heartbeats are accepted again")
        if self._always_sync:
            try:
                segment.sync()
            except OSError as error:
                self.refuse()
                raise WalUnavailable(str(error)) from error
        return received

    def refuse(self) -> None:
        """A valid heartbeat gets no 2xx for a reason of ours: this moment is not listened to."""
        with self._lock:
            if self._segment is not None:
                self._segment.refuse(self._clock.now)

    def _rotate(self) -> SegmentWriter:
        """The segment to write to: a new one where possible. Raises WalUnavailable."""
        now, old = self._clock.now(), self._segment
        if self._closing.is_set() and old is None:
            raise WalUnavailable("the server is stopping")
        try:
            new = SegmentWriter(self._directory, now)
        except OSError as error:
            return self._without_room(old, now, error)
        self._segment = new
        self._room -= new.length
        # A refusal goes on in the new segment until its first append.
        if old is not None:
            if old.refusing:
                new.inherit_refusal(old.refused_from)
            self._retire(old, now)
        if self._marker is not None:
            new.inherit_refusal(self._marker.since)
            self._marker.close()
            self._marker = None
        return new

    def _without_room(self, old: SegmentWriter | None, now: int, error: OSError) -> SegmentWriter:
        """There is no room for a new segment. The old one goes on, unless it is of no use."""
        if old is not None:
            if not (old.refusing and old.drained):
                return old
            self._make_way(old, now)
        raise WalUnavailable(str(error)) from error

    def _make_way(self, segment: SegmentWriter, now: int) -> None:
        """Let the shipper delete a segment that is of no use on a full disk but takes room."""
        try:
            self._marker = RefusalMarker(self._directory, segment.refused_from)
        except OSError:
            return
        self._segment = None
        self._retire(segment, now)

    def _retire(self, segment: SegmentWriter, now: int) -> None:
        segment.end(now)
        self._retired.append(segment)

    def _keep(self) -> None:
        """Tell the disk, measure the spool, and see whether a refusal can end."""
        while not self._closing.wait(_ROUND):
            self._let_go()
            self._trouble = self._find_trouble()
            with self._lock:
                segment = self._segment
            try:
                if segment is not None and not self._always_sync:
                    segment.sync()
                self._room = self._limit - _size(self._directory)
            except OSError as error:
                log.error("the write-ahead log can't be maintained: %s", error)
            if self._trouble is None and (segment is None or segment.refusing):
                with contextlib.suppress(WalUnavailable):
                    self.append(())

    def _let_go(self) -> None:
        with self._lock:
            retired, self._retired = self._retired, []
        for segment in retired:
            try:
                segment.sync()
            except OSError as error:
                log.error("%s may not survive a power failure: %s", segment.path.name, error)
            segment.close()

    def close(self) -> None:
        """The worker listens no more; an append from now on is refused."""
        self._closing.set()
        self._keeper.join()
        with self._lock:
            segment, self._segment = self._segment, None
            if segment is not None:
                self._retire(segment, self._clock.now())
            if self._marker is not None:
                self._marker.close()
        self._let_go()


def _size(directory: Path) -> int:
    """Bytes taken by the files of the spool."""
    size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            # The shipper removes files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                size += entry.stat().st_size
    return size
