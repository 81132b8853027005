"""The reader of the WAL: the segments of all workers, running and dead."""

import fcntl
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import NamedTuple

import msgspec

from monitor.ingest.coverage import Refusal
from monitor.ingest.wal import format as wal_format
from monitor.ingest.wal.format import (
    HEADER_SIZE,
    NEW_SUFFIX,
    REFUSING_SUFFIX,
    SUFFIX,
    created,
    decode,
    frames,
)
from monitor.model import Heartbeat

_WINDOW = 256 * 1024
"""Bytes read at once, unless a record is longer."""

_APPEND_TIMEOUT = 200
"""How long to wait for an unfinished append (ms)."""

_ABANDONED = 60_000
"""If a file was not finished within this time (ms), its worker died."""

_make = Heartbeat._make  # faster than a call of the class


class SegmentReader:
    """Reads one segment. Not thread-safe.

    Starts where the last shipper stopped. `look` reads the header, `take` the records.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError, and EOFError if the header is incomplete."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(self._file).st_size < HEADER_SIZE:
                raise EOFError(f"{path.name} has no header")
            self._map = mmap.mmap(self._file, HEADER_SIZE)
        except BaseException:
            os.close(self._file)
            raise
        self._header = memoryview(self._map).cast("q")
        self.damaged = int(self._header[wal_format.FORMAT] != wal_format.OUR_FORMAT)
        """Number of damaged places found so far."""
        self.alive, self.ended, self.settled = True, False, False
        """As of the last look: the worker is alive; it closed the segment cleanly; no append was
        unfinished."""
        self.position = self.end = self.shipped

    @property
    def shipped(self) -> int:
        """Everything before this offset is stored."""
        offset = self._header[wal_format.SHIPPED]
        valid = offset > HEADER_SIZE and ~offset == self._header[wal_format.SHIPPED_CHECK]
        return offset if valid else HEADER_SIZE

    def ship(self, end: int) -> None:
        """Marks all records before the position `end` as stored."""
        self._header[wal_format.SHIPPED] = end
        self._header[wal_format.SHIPPED_CHECK] = ~end

    def rewind(self) -> None:
        """Goes back to the last `ship`: records taken since then are taken again."""
        self.position = self.shipped

    @property
    def refusal(self) -> Refusal | None:
        """The last refusal, unless `dismiss` was called for it."""
        header = self._header
        start, stop = header[wal_format.REFUSED_FROM], header[wal_format.REFUSED_UNTIL]
        if not start or (stop and stop == header[wal_format.REFUSAL_SEEN]):
            return None
        # The clock may have been set back during the refusal.
        return Refusal(min(start, stop), stop) if stop else Refusal(start, None)

    def dismiss(self, refusal: Refusal) -> None:
        """Marks this refusal as processed if it has ended."""
        if refusal.stop is not None:
            self._header[wal_format.REFUSAL_SEEN] = refusal.stop

    def look(self, patience: int) -> None:
        """Reads the header. Waits up to `patience` ms for an unfinished append."""
        self.alive = self.alive and not _lockable(self._file)
        header = self._header
        self.ended = header[wal_format.ENDED] == 1
        if not self.alive:
            # A killed worker may have written a record but not updated its header.
            self.end, self.settled = os.fstat(self._file).st_size, True
            return
        appends = header[wal_format.APPENDS]
        while appends % 2 and header[wal_format.APPENDS] == appends and patience > 0:
            sleep(0.001)
            patience -= 1
        self.settled = not appends % 2 or header[wal_format.APPENDS] != appends
        # The bytes are read much later, so the order in which the processor makes the bytes and
        # the length visible does not matter.
        self.end = header[wal_format.LENGTH]

    @property
    def drained(self) -> bool:
        """Whether everything seen by the last `look` has been taken."""
        return self.position >= self.end

    @property
    def finished(self) -> bool:
        """Whether everything is shipped and no more will be written: the file can be deleted."""
        if self.shipped < self.end:
            return False
        return self.refusal is None if self.ended else not self.alive

    def oldest(self) -> int | None:
        """When the first record that is not taken yet was received; None if there is none."""
        data, final = self._window()
        return next((received for _, _, received, _ in frames(data, final)), None)

    def take(self) -> list[Heartbeat]:
        """The heartbeats of the next records; advances `position`. Empty if all were damaged."""
        data, final = self._window()
        heartbeats: list[Heartbeat] = []
        position = 0
        for start, end, received, payload in frames(data, final):
            self.damaged += start > position
            position = end
            try:
                rows = decode(payload)
            except msgspec.DecodeError:
                self.damaged += 1
                continue
            heartbeats += [
                _make((mac, received if time is None else time, received, live, metrics))
                for mac, time, live, metrics in rows
            ]
        if final:
            # Allocated space that was not used contains zeros.
            self.damaged += bool(data[position:].strip(b"\0"))
            self.position = self.end
        else:
            self.position += position
        return heartbeats

    def _window(self) -> tuple[bytes, bool]:
        """Bytes from `position` with at least one intact record, or all bytes left; and whether
        these are all bytes left."""
        size, left = _WINDOW, self.end - self.position
        while True:
            data = os.pread(self._file, min(size, left), self.position)
            final = size >= left
            if final or next(frames(data, final), None):
                return data, final
            size *= 4

    def close(self) -> None:
        """Closes the file."""
        self._header.release()
        self._map.close()
        os.close(self._file)


class Outlook(NamedTuple):
    """The result of one look at all segments, as `CoverageTracker.observe` needs it."""

    alive: bool
    died: bool
    settled: bool
    refusals: list[Refusal]


class WalReader:
    """All segments in a directory, the oldest first. Used by the active shipper."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._readers: dict[Path, SegmentReader] = {}
        self._refusing: dict[Path, int] = {}
        self._known_dead: set[Path] = set()
        self._damaged = 0  # in deleted segments

    def look(self, now: int) -> Outlook:
        """Reads the headers of all segments. If the outlook is settled, everything received before
        `now` is visible."""
        self._find(now)
        if not any(reader.alive for reader in self._readers.values()):
            # A worker may have started a new segment between the listing and the look.
            self._find(now)
        readers = self.readers
        died = {r.path for r in readers if not r.alive and not r.ended} - self._known_dead
        self._known_dead |= died
        refusals = [r.refusal for r in readers if r.refusal is not None and (r.alive or r.ended)]
        refusals += [Refusal(created(path), None) for path in self._refusing]
        return Outlook(
            alive=bool(self._refusing) or any(reader.alive for reader in readers),
            died=bool(died),
            settled=all(reader.settled for reader in readers),
            refusals=refusals,
        )

    @property
    def readers(self) -> list[SegmentReader]:
        """The readers of all segments, the oldest first."""
        return [self._readers[path] for path in sorted(self._readers)]

    @property
    def damaged_so_far(self) -> int:
        """Number of damaged places found in all segments."""
        return self._damaged + sum(reader.damaged for reader in self._readers.values())

    @property
    def waiting(self) -> int:
        """Bytes that are not taken yet."""
        return sum(reader.end - reader.position for reader in self._readers.values())

    def oldest(self) -> int | None:
        """When the oldest record that is not taken yet was received; None if all are taken."""
        moments = [r.oldest() for r in self._readers.values() if not r.drained]
        return min((moment for moment in moments if moment is not None), default=None)

    def rewind(self) -> None:
        """Goes back: records that were taken but not shipped are taken again."""
        for reader in self._readers.values():
            reader.rewind()

    def dismiss(self, refusals: Sequence[Refusal]) -> None:
        """Marks these refusals as processed."""
        for reader in self._readers.values():
            refusal = reader.refusal
            if refusal is not None and refusal in refusals:
                reader.dismiss(refusal)

    def sweep(self) -> None:
        """Deletes segments that are finished."""
        for path, reader in list(self._readers.items()):
            if reader.finished:
                path.unlink(missing_ok=True)
                self._damaged += reader.damaged
                self._known_dead.discard(path)
                del self._readers[path]
                reader.close()

    def close(self) -> None:
        """Closes all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _find(self, now: int) -> None:
        self._refusing.clear()
        for path in self._directory.iterdir():
            if path.suffix == SUFFIX and path not in self._readers:
                self._open(path)
            elif path.suffix == REFUSING_SUFFIX and not _remove_if_abandoned(path):
                self._refusing[path] = created(path)
            elif path.suffix == NEW_SUFFIX and now - created(path) > _ABANDONED:
                _remove_if_abandoned(path)
        for reader in self._readers.values():
            reader.look(_APPEND_TIMEOUT)

    def _open(self, path: Path) -> None:
        try:
            self._readers[path] = SegmentReader(path)
        except FileNotFoundError:
            return
        except EOFError:
            self._damaged += 1
            path.unlink(missing_ok=True)


def _remove_if_abandoned(path: Path) -> bool:
    """Deletes a file if its worker is dead. Returns whether it is gone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        abandoned = _lockable(file)
        if abandoned:
            path.unlink(missing_ok=True)
        return abandoned
    finally:
        os.close(file)


def any_worker_alive(directory: Path) -> bool:
    """Whether a running worker still has an open segment."""
    for path in directory.glob("*" + SUFFIX):
        try:
            reader = SegmentReader(path)
        except (FileNotFoundError, EOFError):
            continue
        try:
            reader.look(0)
            if reader.alive and not reader.ended:
                return True
        finally:
            reader.close()
    return any(not _remove_if_abandoned(path) for path in directory.glob("*" + REFUSING_SUFFIX))


def _lockable(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True
