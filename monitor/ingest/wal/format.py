"""The spool's files: a header page, then records that only grow; both written by mapping.

    header   4096 bytes, of which the first hold native 64-bit integers
    record   magic, length of payload, checksum, payload (reports as MessagePack), received (ms)

A mapped byte belongs to the file at once, so it survives the process as a written one does; and
storing it never lets go of the interpreter's lock while that of the spool is held, which under
load costs more than the write. The room is allocated beforehand, so a full disk shows there.

The worker that writes a segment holds its `flock` for as long as it lives. Everything here is
meant for a local file system, where a mapping and reads of the file agree.
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
"""Not yet a segment: its header is being written."""
REFUSING_SUFFIX = ".refusing"
"""Empty; held by a worker that has no room for a segment and refuses every heartbeat."""

# Which integer of the header says what.
FORMAT = 0
APPENDS = 1  # odd while an append is under way
LENGTH = 2  # what lies before is whole
REFUSED_FROM = 3
REFUSED_UNTIL = 4  # 0: still refusing
REFUSAL_SEEN = 5  # the REFUSED_UNTIL that the shipper has dealt with
ENDED = 6  # 1: the worker let go of it cleanly
SHIPPED = 7
SHIPPED_CHECK = 8  # the complement of SHIPPED; otherwise SHIPPED is not believed

OUR_FORMAT = int.from_bytes(b"hbspool\x02", "little")

_MAGIC = b"\xf5hb\xfa"
_FRAME = struct.Struct("<4sII")
_STAMP = 8
OVERHEAD = _FRAME.size + _STAMP
"""Bytes that a record takes beside its payload."""

_LONGEST = 256 * 1024 * 1024
_PAGE = 4096
_STEP = 4 * _PAGE
"""Room is allocated by so many bytes, where there are as many."""

encode = msgspec.msgpack.Encoder().encode
"""Reports to the payload of a record."""

decode = msgspec.msgpack.Decoder(list[tuple[int, int | None, bool, dict[str, float] | None]]).decode
"""The payload of a record to the fields of its reports; raises msgspec.DecodeError."""

Frame = tuple[int, int, int, memoryview]
"""A record in a piece of a file: where it starts and ends there, received (ms), payload."""


def frame(payload: bytes, checksum: int, received: int) -> bytes:
    """A record; `checksum` is crc32(payload), which can be made before the moment is known."""
    stamp = received.to_bytes(_STAMP, "little")
    return _FRAME.pack(_MAGIC, len(payload), crc32(stamp, checksum)) + payload + stamp


def frames(data: bytes, final: bool) -> Iterator[Frame]:
    """The sound records in `data`, in order; what lies between them is damaged, or never used.

    Unless `final`, a record that reaches beyond `data` ends the search: more is to be read.
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
    """One growing segment of this process. Its user lets one thread in at a time, except to
    `sync`."""

    def __init__(self, directory: Path, now: int) -> None:
        """Raises OSError when there is no room for it."""
        header = array("q", bytes(HEADER_SIZE))
        header[FORMAT] = OUR_FORMAT
        header[LENGTH] = HEADER_SIZE
        # Real bytes: a mapping of a hole would die of SIGBUS on a full disk.
        self._file, self.path = _hold(directory, now, SUFFIX, header.tobytes())
        self.length = self._allocated = HEADER_SIZE
        self._map = self._page = mmap.mmap(self._file, HEADER_SIZE)
        self._header = memoryview(self._page).cast("q")
        self.refusing = False
        self._synced = 0
        self._sync_lock = threading.Lock()

    def append(self, payload: bytes, checksum: int, now: Callable[[], int]) -> int:
        """Add a record stamped `now()`, and return the stamp. Raises OSError: then it is as if
        nothing had been written, and that moment counts as refused."""
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
        # It may have got some of what it could not have all of.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._allocated)
        raise error or OSError("no room")

    def refuse(self, now: Callable[[], int]) -> None:
        """A valid heartbeat is being refused."""
        self._header[APPENDS] += 1
        self._refuse(now())
        self._header[APPENDS] += 1

    def inherit_refusal(self, start: int) -> None:
        """This segment follows one that refuses since `start`."""
        self._refuse(start)

    def _refuse(self, now: int) -> None:
        """Note in the header that heartbeats are refused from `now` on."""
        header = self._header
        self.refusing = True
        goes_on = header[REFUSED_FROM] and not header[REFUSED_UNTIL]
        if goes_on:
            return
        # The header has room for one span: one that the shipper has not seen yet is extended.
        seen = header[REFUSED_UNTIL] == header[REFUSAL_SEEN]
        if seen:
            header[REFUSED_FROM] = now
        header[REFUSED_UNTIL] = 0

    def _accept(self, now: int) -> None:
        self._header[REFUSED_UNTIL] = now
        self.refusing = False

    @property
    def refused_from(self) -> int:
        """Since when heartbeats are refused; meaningful only while they are."""
        return self._header[REFUSED_FROM]

    @property
    def drained(self) -> bool:
        """It holds records, and all of them are stored."""
        return HEADER_SIZE < self.length <= self._header[SHIPPED]

    def sync(self) -> None:
        """All that was appended before the call survives a power cut; raises OSError."""
        length = self.length
        with self._sync_lock:
            if self._synced >= length:
                return
            target = self.length
            if not self._synced:
                _sync_directory(self.path.parent)
            os.fdatasync(self._file)
            self._synced = target

    def end(self, now: int) -> None:
        """No record will follow, and what was refused until `now` is over."""
        if self.refusing:
            self._accept(now)
        self._header[ENDED] = 1

    def close(self) -> None:
        """Let go of the file and its lock."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self.length)
        self._header.release()
        self._page.close()
        self._map.close()
        os.close(self._file)
        self._file = -1  # a late `sync` must not meet another file under the same number


class RefusalMarker:
    """What a worker holds that has no room even for a segment: it refuses every heartbeat."""

    def __init__(self, directory: Path, now: int) -> None:
        """Raises OSError."""
        self.since = now
        self._file, self._path = _hold(directory, now, REFUSING_SUFFIX, b"")

    def close(self) -> None:
        """The worker refuses no more, or listens no more."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._file)


def created(path: Path) -> int:
    """When a file of the spool was made (ms); 0 for a name that is not ours."""
    moment, _, _ = path.name.partition("-")
    return int(moment) if moment.isascii() and moment.isdigit() else 0


def _hold(directory: Path, now: int, suffix: str, content: bytes) -> tuple[int, Path]:
    """A new file that shows up under its name only once it is locked and filled."""
    name = f"{now:013d}-{os.getpid()}-{secrets.token_hex(4)}"
    new, path = directory / (name + NEW_SUFFIX), directory / (name + suffix)
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.write(file, content) < len(content):
            raise OSError("no room for a header")
        new.rename(path)
    except OSError:
        os.close(file)
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    return file, path


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
