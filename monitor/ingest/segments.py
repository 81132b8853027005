"""The spool's files: a header page shared by mapping, then records that only grow.

    header   4096 bytes, of which the first hold native 64-bit integers (see `Field`)
    record   magic, length of payload, checksum, received (ms), payload: reports as MessagePack

The worker that writes a segment holds its `flock` for as long as it lives. Everything here is
meant for a local file system, where a mapping and reads of the file agree.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import secrets
import struct
import threading
from array import array
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from monitor.ingest.parse import Report

HEADER_SIZE = 4096
SUFFIX = ".segment"
NEW_SUFFIX = ".new"
"""Not yet a segment: its header is being written."""
REFUSING_SUFFIX = ".refusing"
"""Empty; held by a worker that has no room for a segment and refuses every heartbeat."""

FORMAT = int.from_bytes(b"hbspool\x01", "little")
_MAGIC = b"\xf5hb\xfa"
_FRAME = struct.Struct("<4sIIq")
_LONGEST = 256 * 1024 * 1024

encode = msgspec.msgpack.Encoder().encode
"""Reports to the payload of a record."""

decode = msgspec.msgpack.Decoder(list[Report]).decode
"""The payload of a record to its reports; raises msgspec.DecodeError."""


class Field(IntEnum):
    """Which integer of the header says what."""

    FORMAT = 0
    APPENDS = 1  # odd while an append is under way
    LENGTH = 2  # what lies before is whole
    REFUSED_FROM = 3
    REFUSED_UNTIL = 4  # 0: still refusing
    REFUSAL_SEEN = 5  # the REFUSED_UNTIL that the shipper has dealt with
    ENDED = 6  # 1: the worker let go of it cleanly
    SHIPPED = 7
    SHIPPED_CHECK = 8  # the complement of SHIPPED; otherwise SHIPPED is not believed


class Frame(NamedTuple):
    """A record in a piece of a file: `start` and `end` are offsets in that piece."""

    start: int
    end: int
    received: int
    payload: bytes


def frame(received: int, payload: bytes, checksum: int) -> bytes:
    """A record; `checksum` is crc32(payload), which the caller can make before it has the lock."""
    whole = crc32(received.to_bytes(8, "little"), checksum)
    return _FRAME.pack(_MAGIC, len(payload), whole, received) + payload


def frames(data: bytes, final: bool) -> Iterator[Frame]:
    """The sound records in `data`, in order; what lies between them is damaged.

    Unless `final`, a record that reaches beyond `data` ends the search: more is to be read.
    """
    position = data.find(_MAGIC)
    while 0 <= position <= len(data) - _FRAME.size:
        _, length, checksum, received = _FRAME.unpack_from(data, position)
        start = position + _FRAME.size
        end = start + length
        if end > len(data) and length <= _LONGEST and not final:
            return
        payload = data[start:end]
        if end <= len(data) and crc32(data[start - 8 : start], crc32(payload)) == checksum:
            yield Frame(position, end, received, payload)
            position = end
            if data.startswith(_MAGIC, position):
                continue
        else:
            position += 1
        position = data.find(_MAGIC, position)


class SegmentWriter:
    """One growing segment of this process. `write` and the header are the spool's lock's matter;
    `sync` may be called by any thread."""

    def __init__(self, directory: Path, now: int) -> None:
        """Raises OSError when there is no room for it."""
        header = array("q", bytes(HEADER_SIZE))
        header[Field.FORMAT] = FORMAT
        header[Field.LENGTH] = HEADER_SIZE
        # Real bytes: a mapping of a hole would die of SIGBUS on a full disk.
        self._file, self.path = _hold(directory, now, SUFFIX, header.tobytes())
        self.length = HEADER_SIZE
        self._map = mmap.mmap(self._file, HEADER_SIZE)
        self._header = memoryview(self._map).cast("q")
        self._synced = 0
        self._sync_lock = threading.Lock()

    def begin(self) -> None:
        """An append begins: a time will be taken. The shipper waits for `finish`."""
        self._header[Field.APPENDS] += 1

    def finish(self) -> None:
        """The append is over, well or badly."""
        self._header[Field.APPENDS] += 1

    def write(self, record: bytes) -> None:
        """Add a record; raises OSError, and then it is as if nothing had been written."""
        try:
            _write_all(self._file, record, self.length)
        except OSError:
            # Only to give the room back: the next record overwrites what is left of this one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.length)
            raise
        self.length += len(record)
        self._header[Field.LENGTH] = self.length

    def refuse(self, now: int) -> None:
        """A valid heartbeat is being refused. A span that nobody has seen yet grows instead."""
        header = self._header
        if header[Field.REFUSED_FROM] and not header[Field.REFUSED_UNTIL]:
            return
        if header[Field.REFUSED_UNTIL] == header[Field.REFUSAL_SEEN]:
            header[Field.REFUSED_FROM] = now
        header[Field.REFUSED_UNTIL] = 0

    def accept(self, now: int) -> None:
        """The refusal is over."""
        self._header[Field.REFUSED_UNTIL] = now

    @property
    def refused_from(self) -> int:
        """Since when heartbeats are refused; meaningful only while they are."""
        return self._header[Field.REFUSED_FROM]

    @property
    def drained(self) -> bool:
        """It holds records, and all of them are stored."""
        return HEADER_SIZE < self.length <= self._header[Field.SHIPPED]

    def sync(self) -> None:
        """All that was written before the call survives a power cut; raises OSError."""
        length = self.length
        with self._sync_lock:
            if self._synced >= length:
                return
            target = self.length
            if not self._synced:
                _sync_directory(self.path.parent)
            os.fdatasync(self._file)
            self._synced = target

    def end(self) -> None:
        """No record will follow."""
        self._header[Field.ENDED] = 1

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._header.release()
        self._map.close()
        os.close(self._file)
        self._file = -1  # a late `sync` must not meet another file under the same number


class Placeholder:
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
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        _write_all(file, content, 0)
        new.rename(path)
    except OSError:
        os.close(file)
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    return file, path


def _write_all(file: int, data: bytes, offset: int) -> None:
    written = os.pwrite(file, data, offset)
    if written < len(data):
        # The rest says why: disk full, quota, file size limit.
        rest = data[written:]
        if os.pwrite(file, rest, offset + written) < len(rest):
            raise OSError(errno.ENOSPC, "no room for the whole record")


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
