"""The shipper's side of the spool: the segments of all workers, living and dead."""

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

_PATIENCE = 200
"""How long an append under way is waited for (ms)."""

_ABANDONED = 60_000
"""A file that was not finished within this many ms was left behind by a death."""


class SegmentReader:
    """The shipper's view of a segment, whoever wrote it. Not for several threads.

    Begins where an earlier shipper left off; `look` sees what there is, `take` reads it.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError; EOFError when not even the header is there."""
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
        """Damaged places met so far."""
        self.alive, self.ended, self.settled = True, False, False
        """Its worker lives; let go of it cleanly; nothing was half-way, when last looked."""
        self.position = self.end = self.shipped

    @property
    def shipped(self) -> int:
        """Up to this offset everything is stored."""
        offset = self._header[wal_format.SHIPPED]
        sound = offset > HEADER_SIZE and ~offset == self._header[wal_format.SHIPPED_CHECK]
        return offset if sound else HEADER_SIZE

    def ship(self) -> None:
        """All that was taken is stored."""
        self._header[wal_format.SHIPPED] = self.position
        self._header[wal_format.SHIPPED_CHECK] = ~self.position

    def rewind(self) -> None:
        """What was taken since the last `ship` is to be taken again."""
        self.position = self.shipped

    @property
    def refusal(self) -> Refusal | None:
        """The last span of refusing, unless `dismiss` was called for it."""
        header = self._header
        start, stop = header[wal_format.REFUSED_FROM], header[wal_format.REFUSED_UNTIL]
        if not start or (stop and stop == header[wal_format.REFUSAL_SEEN]):
            return None
        # The clock may have been set back while it lasted.
        return Refusal(min(start, stop), stop) if stop else Refusal(start, None)

    def dismiss(self, refusal: Refusal) -> None:
        """This span need not be shown again, if it is over."""
        if refusal.stop is not None:
            self._header[wal_format.REFUSAL_SEEN] = refusal.stop

    def look(self, patience: int) -> None:
        """See what is there now; waits up to `patience` ms for an append that is under way."""
        self.alive = self.alive and not _lockable(self._file)
        header = self._header
        self.ended = header[wal_format.ENDED] == 1
        if not self.alive:
            # A killed worker may have written a record that its header does not know of.
            self.end, self.settled = os.fstat(self._file).st_size, True
            return
        appends = header[wal_format.APPENDS]
        while appends % 2 and header[wal_format.APPENDS] == appends and patience > 0:
            sleep(0.001)
            patience -= 1
        self.settled = not appends % 2 or header[wal_format.APPENDS] != appends
        # The bytes are read well after this, so it does not matter in which order a processor
        # makes them and the length visible.
        self.end = header[wal_format.LENGTH]

    @property
    def drained(self) -> bool:
        """All that was there at the last look has been taken."""
        return self.position >= self.end

    @property
    def finished(self) -> bool:
        """Nothing is left here to ship and nothing will come: the file can go."""
        if self.shipped < self.end:
            return False
        return self.refusal is None if self.ended else not self.alive

    def oldest(self) -> int | None:
        """When the first record that was not taken yet was received; None without one."""
        data, final = self._window()
        return next((received for _, _, received, _ in frames(data, final)), None)

    def take(self) -> list[Heartbeat]:
        """What the next records brought; moves `position`. Empty where there was only damage."""
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
            for mac, time, live, metrics in rows:
                heartbeats.append(
                    Heartbeat(mac, received if time is None else time, received, live, metrics)
                )
        if final:
            # Room that was allocated and never used holds zeros.
            self.damaged += bool(data[position:].strip(b"\0"))
            self.position = self.end
        else:
            self.position += position
        return heartbeats

    def _window(self) -> tuple[bytes, bool]:
        """Bytes from `position` on that hold a sound record, or all there are (True)."""
        size, left = _WINDOW, self.end - self.position
        while True:
            data = os.pread(self._file, min(size, left), self.position)
            final = size >= left
            if final or next(frames(data, final), None):
                return data, final
            size *= 4

    def close(self) -> None:
        """Let go of the file."""
        self._header.release()
        self._map.close()
        os.close(self._file)


class Outlook(NamedTuple):
    """What one look at all workers showed."""

    alive: bool
    died: bool
    settled: bool
    refusals: list[Refusal]


class WalReader:
    """All segments in a directory, those first that began first. For the one who ships."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._readers: dict[Path, SegmentReader] = {}
        self._refusing: dict[Path, int] = {}
        self._mourned: set[Path] = set()
        self._damaged = 0  # in segments that are gone

    def look(self, now: int) -> Outlook:
        """See what all workers have written. Everything received before `now` is then there,
        unless the outlook is not settled."""
        self._find(now)
        if not any(reader.alive for reader in self._readers.values()):
            # A worker may have changed segments between the listing and the look.
            self._find(now)
        readers = self.readers
        died = {r.path for r in readers if not r.alive and not r.ended} - self._mourned
        self._mourned |= died
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
        """The eldest first."""
        return [self._readers[path] for path in sorted(self._readers)]

    @property
    def damaged_so_far(self) -> int:
        """Damaged places met in all segments."""
        return self._damaged + sum(reader.damaged for reader in self._readers.values())

    @property
    def waiting(self) -> int:
        """Bytes not yet taken."""
        return sum(reader.end - reader.position for reader in self._readers.values())

    def oldest(self) -> int | None:
        """When the earliest record not taken yet was received; None when all are taken."""
        moments = [r.oldest() for r in self._readers.values() if not r.drained]
        return min((moment for moment in moments if moment is not None), default=None)

    def rewind(self) -> None:
        """What was taken but not marked as shipped is to be taken again."""
        for reader in self._readers.values():
            reader.rewind()

    def dismiss(self, refusals: Sequence[Refusal]) -> None:
        """These spans of refusing were dealt with."""
        for reader in self._readers.values():
            shown = reader.refusal
            if shown is not None and shown in refusals:
                reader.dismiss(shown)

    def sweep(self) -> None:
        """Delete segments that are wholly shipped and done with."""
        for path, reader in list(self._readers.items()):
            if reader.finished:
                path.unlink(missing_ok=True)
                self._damaged += reader.damaged
                self._mourned.discard(path)
                del self._readers[path]
                reader.close()

    def close(self) -> None:
        """Let go of all files."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _find(self, now: int) -> None:
        self._refusing.clear()
        for path in self._directory.iterdir():
            if path.suffix == SUFFIX and path not in self._readers:
                self._open(path)
            elif path.suffix == REFUSING_SUFFIX and not _remove_if_left(path):
                self._refusing[path] = created(path)
            elif path.suffix == NEW_SUFFIX and now - created(path) > _ABANDONED:
                _remove_if_left(path)
        for reader in self._readers.values():
            reader.look(_PATIENCE)

    def _open(self, path: Path) -> None:
        try:
            self._readers[path] = SegmentReader(path)
        except FileNotFoundError:
            return
        except EOFError:
            self._damaged += 1
            path.unlink(missing_ok=True)


def _remove_if_left(path: Path) -> bool:
    """Remove a file whose worker is gone; True when it is."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        left = _lockable(file)
        if left:
            path.unlink(missing_ok=True)
        return left
    finally:
        os.close(file)


def someone_listens(directory: Path) -> bool:
    """Whether a living worker has not let go of its segment."""
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
    return any(not _remove_if_left(path) for path in directory.glob("*" + REFUSING_SUFFIX))


def _lockable(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True
