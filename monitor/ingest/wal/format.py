"""The format of WAL segments: a header page and appended records, both written through mmap.

    header   4096 bytes that start with native 64-bit integers
    record   magic, length of payload, checksum, payload (reports as MessagePack), received (ms)

A byte written through a mapping belongs to the file at once, so it survives a crash of the process
like one written by write(). Unlike write(), it does not release the GIL while the WAL's lock is
held, which under load takes longer than the write. Space is allocated in advance, so a full disk
raises an error there and not at the write.

A worker holds the `flock` of its segment as long as it lives. This requires a local file system, on
which a mapping and reads of the file are consistent.
"""

import contextlib
import fcntl
import mmap
import os
import secrets
import struct
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec

HEADER_SIZE = 4096
SUFFIX = ".segment"
NEW_SUFFIX = ".new"
"""Suffix of a segment whose header is not complete yet."""
REFUSING_SUFFIX = ".refusing"
"""Suffix of an empty file, locked by a worker that has no space for a segment and refuses all
heartbeats."""

# Positions of the integers in the header.
FORMAT = 0
APPENDS = 1  # odd during an append
LENGTH = 2  # everything before this offset is complete
REFUSED_FROM = 3
REFUSED_UNTIL = 4  # 0: still refusing
REFUSAL_SEEN = 5  # the REFUSED_UNTIL that the shipper has processed
ENDED = 6  # 1: the worker closed it cleanly
SHIPPED = 7
SHIPPED_CHECK = 8  # the complement of SHIPPED; if it differs, SHIPPED is ignored

OUR_FORMAT = int.from_bytes(b"hbspool\x02", "little")

_MAGIC = b"\xf5hb\xfa"
_FRAME = struct.Struct("<4sII")
_STAMP = 8
OVERHEAD = _FRAME.size + _STAMP
"""Bytes of a record without its payload."""

_LONGEST = 256 * 1024 * 1024
_PAGE = 4096
_STEP = 4 * _PAGE
"""Space is allocated in steps of so many bytes, or of one page on a nearly full disk."""

encode = msgspec.msgpack.Encoder().encode
"""Encodes reports as the payload of a record."""

decode = msgspec.msgpack.Decoder(list[tuple[int, int | None, bool, dict[str, float] | None]]).decode
"""Decodes the payload of a record to the fields of its reports. Raises msgspec.DecodeError."""

Frame = tuple[int, int, int, memoryview]
"""A record in a chunk of a file: its start and end in the chunk, received (ms), payload."""


def frame(payload: bytes, checksum: int, received: int) -> bytes:
    """A record. `checksum` is crc32(payload), so it can be computed before `received` is known."""
    stamp = received.to_bytes(_STAMP, "little")
    return _FRAME.pack(_MAGIC, len(payload), crc32(stamp, checksum)) + payload + stamp


def frames(data: bytes, final: bool) -> Iterator[Frame]:
    """The intact records in `data`, in order. Bytes between them are damaged or unused.

    Unless `final`, a record that continues beyond `data` ends the search: read more data then.
    """
    view, size = memoryview(data), len(data)
    position = data.find(_MAGIC)
    while 0 <= position <= size - _FRAME.size:
        _, length, checksum = _FRAME.unpack_from(data, position)
        start = position + _FRAME.size
        stop = start + length
        end = stop + _STAMP
        if end <= size and crc32(view[start:end]) == checksum:
            yield position, end, int.from_bytes(view[stop:end], "little"), view[start:stop]
            position = end
        elif end > size and length <= _LONGEST and not final:
            return
        else:
            position += 1
        position = data.find(_MAGIC, position)


class SegmentWriter:
    """A segment that this process appends to. Not thread-safe, except for `sync`."""

    def __init__(self, directory: Path, now: int) -> None:
        """Creates the file. Raises OSError if there is no space for it."""
        header = array("q", bytes(HEADER_SIZE))
        header[FORMAT] = OUR_FORMAT
        header[LENGTH] = HEADER_SIZE
        # Write real bytes: writing to a mapped hole raises SIGBUS on a full disk.
        self._file, self.path = _create_locked(directory, now, SUFFIX, header.tobytes())
        self.length = self._allocated = HEADER_SIZE
        self._map = self._page = mmap.mmap(self._file, HEADER_SIZE)
        self._header = memoryview(self._page).cast("q")
        self.refusing = self.failed = False
        """`failed`: a sync failed. Later ones fail, too: the kernel may have dropped what it could
        not write, and report success then."""
        self._synced = 0
        self._sync_lock = threading.Lock()

    def append(self, payload: bytes, checksum: int, now: Callable[[], int]) -> int:
        """Appends a record with the time of receipt `now()`, and returns that time.

        Raises OSError; then nothing is written, and that moment counts as refused.
        """
        header = self._header
        header[APPENDS] += 1
        try:
            received = now()
            record = frame(payload, checksum, received)
            start, end = self.length, self.length + len(record)
            if end > self._allocated:
                self._allocate(end, received)
            self._map[start:end] = record
            self.length = header[LENGTH] = end
            if self.refusing:
                self._accept(received)
        finally:
            header[APPENDS] += 1
        return received

    def _allocate(self, end: int, now: int) -> None:
        error: OSError | None = None
        for step in (_STEP, _PAGE):
            size = -(-end // step) * step
            try:
                os.posix_fallocate(self._file, self._allocated, size - self._allocated)
                grown = mmap.mmap(self._file, size)
            except OSError as failure:
                error = failure
                continue
            if self._map is not self._page:
                self._map.close()
            self._map, self._allocated = grown, size
            return
        self._refuse(now)
        # A part of the space may have been allocated.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._allocated)
        raise error or OSError("no space")

    def refuse(self, now: Callable[[], int]) -> None:
        """Notes that a valid heartbeat is refused."""
        self._header[APPENDS] += 1
        self._refuse(now())
        self._header[APPENDS] += 1

    def inherit_refusal(self, start: int) -> None:
        """Continues the previous segment's refusal, which started at `start`."""
        self._refuse(start)

    def _refuse(self, now: int) -> None:
        """Notes in the header that heartbeats are refused from `now`."""
        header = self._header
        self.refusing = True
        continues = header[REFUSED_FROM] and not header[REFUSED_UNTIL]
        if continues:
            return
        # The header has one span only: if the shipper has not seen the last one, it is extended.
        seen = header[REFUSED_UNTIL] == header[REFUSAL_SEEN]
        if seen:
            header[REFUSED_FROM] = now
        header[REFUSED_UNTIL] = 0

    def _accept(self, now: int) -> None:
        self._header[REFUSED_UNTIL] = now
        self.refusing = False

    @property
    def refused_from(self) -> int:
        """Start of the current refusal (ms). Valid only while `refusing`."""
        return self._header[REFUSED_FROM]

    @property
    def drained(self) -> bool:
        """Whether the segment has records and all of them are stored."""
        return HEADER_SIZE < self.length <= self._header[SHIPPED]

    @property
    def file_to_sync(self) -> int | None:
        """The file, if its data is all that has to be synced; else call `sync`."""
        # The first `sync` also makes the name of the file survive.
        return None if self.failed or not self._synced else self._file

    def sync(self) -> None:
        """Syncs to disk: everything appended before the call survives a power failure. Raises
        OSError."""
        length = self.length
        with self._sync_lock:
            if self._synced >= length:
                return
            if self.failed:
                raise OSError("the disk has failed")
            target = self.length
            try:
                if not self._synced:
                    sync_directory(self.path.parent)
                os.fdatasync(self._file)
            except OSError:
                self.failed = True
                raise
            self._synced = target

    def end(self, now: int) -> None:
        """Marks the segment as complete; a refusal ends at `now`."""
        if self.refusing:
            self._accept(now)
        self._header[ENDED] = 1

    def close(self) -> None:
        """Closes the file and releases its lock."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self.length)
        self._header.release()
        self._page.close()
        self._map.close()
        os.close(self._file)
        self._file = -1  # the number may be reused: a late `sync` must not use it


class RefusalMarker:
    """An empty, locked file of a worker that has no space for a segment and refuses all
    heartbeats."""

    def __init__(self, directory: Path, now: int) -> None:
        """Creates the file. Raises OSError."""
        self.since = now
        self._file, self._path = _create_locked(directory, now, REFUSING_SUFFIX, b"")

    def close(self) -> None:
        """Deletes the file: the refusal ends, or the worker stops."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._file)


def created(path: Path) -> int:
    """When a WAL file was created (ms); 0 for any other file name."""
    moment, _, _ = path.name.partition("-")
    return int(moment) if moment.isascii() and moment.isdigit() else 0


def _create_locked(directory: Path, now: int, suffix: str, content: bytes) -> tuple[int, Path]:
    """Creates a file. It gets its final name only when it is locked and has its content."""
    name = f"{now:013d}-{os.getpid()}-{secrets.token_hex(4)}"
    new, path = directory / (name + NEW_SUFFIX), directory / (name + suffix)
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.write(file, content) < len(content):
            raise OSError("no space for a header")
        new.rename(path)
    except OSError:
        os.close(file)
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    return file, path


def sync_directory(path: Path) -> None:
    """The names in a directory survive a power failure from now on. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
