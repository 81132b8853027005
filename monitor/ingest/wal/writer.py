"""The writer of the WAL: one worker's current segment."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.format import OVERHEAD, RefusalMarker, SegmentWriter, encode, sync_directory

ROTATE_AT = 8 * 1024 * 1024
"""When a segment is longer than this (bytes), a new one is started, so that shipped ones can be
deleted."""

_SYNC_INTERVAL = 1.0
"""Seconds between two runs of maintenance: a power failure loses at most the data of one."""

log = logging.getLogger(__name__)


class WalUnavailable(Exception):
    """The heartbeats could not be written: the disk is full or fails."""


class UnfinishedSync(NamedTuple):
    """The caller of `WalWriter.begin_sync` syncs `file`."""

    segment: SegmentWriter
    file: int
    started: int
    """ms"""


class WalWriter:
    """Created in each worker, after the fork. Thread-safe."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        limit: int,
        trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`limit`: the maximum size in bytes of all segments in `directory` together.

        `trouble`: called every second; returns why heartbeats must be refused now, or None.
        Raises OSError if the directory can't be used; a full disk is not an error here.
        """
        self._directory, self._clock = directory, clock
        self._limit = limit
        self._find_trouble, self._trouble = trouble, trouble()
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        """Held while segments are synced or closed; taken before `_lock`."""
        self._retired: list[SegmentWriter] = []
        self._failed: list[SegmentWriter] = []
        """Retired segments that the last maintenance could not sync. They make `sync` fail until
        the next one: replies to heartbeats in them may still wait."""
        self._segment: SegmentWriter | None = None
        self._marker: RefusalMarker | None = None
        directory.mkdir(parents=True, exist_ok=True)
        # Another worker or program may just have created the directories.
        for parent in directory.parents[:2]:
            with contextlib.suppress(OSError):  # it may be one that this user can't read
                sync_directory(parent)
        self._room = limit - _size(directory)
        try:
            self._segment = SegmentWriter(directory, clock.now())
        except OSError as error:
            log.error("the write-ahead log can't be created: %s", error)
            self._marker = RefusalMarker(directory, clock.now())
        self._closing = threading.Event()
        self._maintainer = threading.Thread(target=self._maintain, name="wal-sync", daemon=True)
        self._maintainer.start()

    def append(self, reports: Sequence[Report]) -> int:
        """Writes one record and returns its time of receipt (ms).

        When it returns, the record survives a crash of this process. Raises WalUnavailable; then
        the time is not covered.
        """
        payload = encode(reports)
        checksum, size = crc32(payload), OVERHEAD + len(payload)
        with self._lock:
            segment = self._segment
            if (
                segment is None
                or segment.length > ROTATE_AT
                or (segment.refusing and segment.drained)
                or segment.failed
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
        return received

    def sync(self) -> None:
        """Waits until everything appended before survives a power failure. Raises WalUnavailable;
        then the time since this call is not covered."""
        started = self._clock.now()
        with self._sync_lock:
            with self._lock:
                current = self._segment
                segments = [*self._failed, *self._retired, *([current] if current else [])]
            for segment in segments:
                try:
                    segment.sync()
                except OSError as error:
                    raise self._sync_failed(started, error) from error

    def begin_sync(self) -> UnfinishedSync | None:
        """The beginning of a sync, for a caller that syncs the data of the file itself. None: call
        `sync`, which may have to wait or to do more."""
        if not self._sync_lock.acquire(blocking=False):
            return None
        try:
            with self._lock:
                segment = self._segment
                if segment is None or self._failed or self._retired:
                    return None
                file = segment.file_to_sync
            return None if file is None else UnfinishedSync(segment, file, self._clock.now())
        finally:
            self._sync_lock.release()

    def end_failed_sync(self, sync: UnfinishedSync, error: OSError) -> WalUnavailable:
        """The file could not be synced: the time since `begin_sync` is not covered. Returns the
        reason."""
        sync.segment.failed = True
        return self._sync_failed(sync.started, error)

    def _sync_failed(self, started: int, error: OSError) -> WalUnavailable:
        log.error("heartbeats can't be synced to disk: %s", error)
        with self._lock:
            if self._segment is not None:
                self._segment.refuse(lambda: started)
        return WalUnavailable(str(error))

    def refuse(self) -> None:
        """Notes that a valid heartbeat was refused: this moment is not covered."""
        with self._lock:
            if self._segment is not None:
                self._segment.refuse(self._clock.now)

    def _rotate(self) -> SegmentWriter:
        """The segment to write to: a new one if possible. Raises WalUnavailable."""
        now, old = self._clock.now(), self._segment
        if self._closing.is_set() and old is None:
            raise WalUnavailable("the server is stopping")
        try:
            new = SegmentWriter(self._directory, now)
        except OSError as error:
            return self._without_new_segment(old, now, error)
        self._segment = new
        self._room -= new.length
        # A refusal continues in the new segment until its first append.
        if old is not None:
            if old.refusing:
                new.inherit_refusal(old.refused_from)
            self._retire(old, now)
        if self._marker is not None:
            new.inherit_refusal(self._marker.since)
            self._marker.close()
            self._marker = None
        return new

    def _without_new_segment(
        self, old: SegmentWriter | None, now: int, error: OSError
    ) -> SegmentWriter:
        """There is no space for a new segment. Returns the old one unless it is useless, otherwise
        raises WalUnavailable."""
        if old is not None:
            if not (old.refusing and old.drained):
                return old
            self._release(old, now)
        raise WalUnavailable(str(error)) from error

    def _release(self, segment: SegmentWriter, now: int) -> None:
        """Lets the shipper delete a useless segment, to free space on a full disk."""
        try:
            self._marker = RefusalMarker(self._directory, segment.refused_from)
        except OSError:
            return
        self._segment = None
        self._retire(segment, now)

    def _retire(self, segment: SegmentWriter, now: int) -> None:
        segment.end(now)
        self._retired.append(segment)

    def _maintain(self) -> None:
        """Syncs the segment, measures the WAL, and ends a refusal when possible."""
        while not self._closing.wait(_SYNC_INTERVAL):
            self._close_retired()
            self._trouble = self._find_trouble()
            with self._lock:
                segment = self._segment
            try:
                if segment is not None:
                    segment.sync()
                self._room = self._limit - _size(self._directory)
            except OSError as error:
                log.error("the write-ahead log can't be maintained: %s", error)
            if self._trouble is None and (segment is None or segment.refusing):
                with contextlib.suppress(WalUnavailable):
                    self.append(())

    def _close_retired(self) -> None:
        with self._sync_lock:
            with self._lock:
                retired, self._retired = self._retired, []
                failed, self._failed = self._failed, []
            for segment in failed:
                segment.close()
            for segment in retired:
                try:
                    segment.sync()
                except OSError as error:
                    log.error("%s may not survive a power failure: %s", segment.path.name, error)
                    self._failed.append(segment)
                else:
                    segment.close()

    def close(self) -> None:
        """Called when the worker stops. Later appends raise WalUnavailable."""
        self._closing.set()
        self._maintainer.join()
        with self._lock:
            segment, self._segment = self._segment, None
            if segment is not None:
                self._retire(segment, self._clock.now())
            marker, self._marker = self._marker, None
            if marker is not None:
                marker.close()
        self._close_retired()
        self._close_retired()  # those that could not be synced


def _size(directory: Path) -> int:
    """The size of all WAL files in bytes."""
    size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            # The shipper may delete files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                size += entry.stat().st_size
    return size
