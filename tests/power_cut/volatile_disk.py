"""A file system in user space that keeps what it must after a power failure, and little more.

Run as `python -m tests.power_cut.volatile_disk BACKING MOUNTPOINT SEED`; SIGKILL cuts its power.
Files and names are in this process's memory. A file's content is copied to `BACKING` when the file
is synced, and names when their directory is. A disk may write early and in any order, so at random
some sectors and directories are copied sooner. The next start has only what is in `BACKING`.

Not modelled: times, permissions and links.
"""

import errno
import os
import random
import signal
import stat
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import mfusepy

from tests.power_cut.backing import CUT_AFTER, ROOT, Backing

SECTOR = 512
"""The bytes that a disk writes all or not at all."""

_EARLY = 0.25
"""How often a write, or a change of a directory, is copied at once, at least in part."""


class VolatileDisk(mfusepy.Operations):  # type: ignore[misc]
    """A file handle is the number of the file."""

    use_ns = True  # the type of times in calls of the base class

    def __init__(self, backing: Backing, chance: random.Random) -> None:
        self._backing, self._chance = backing, chance
        self._last = max([ROOT, *backing.numbers()])
        self._left = 0
        self._directories: dict[int, dict[str, int]] = {}
        self._contents: dict[int, bytearray] = {}
        self._dirty: dict[int, set[int]] = {}
        """Sectors that may differ from those in `backing`, by file."""
        self._load(ROOT)

    def _load(self, number: int) -> None:
        entries = self._directories[number] = dict(self._backing.directories.get(number, {}))
        for child in entries.values():
            if child in self._backing.directories:
                self._load(child)
            else:
                self._contents[child] = bytearray(self._backing.content(child))
                self._dirty[child] = set()

    def _find(self, path: str | PurePosixPath) -> int:
        number = ROOT
        for name in PurePosixPath(path).parts[1:]:
            if name not in self._directories.get(number, {}):
                raise mfusepy.FuseOSError(errno.ENOENT)
            number = self._directories[number][name]
        return number

    def _new(self) -> int:
        self._last += 1
        return self._last

    def _enter(self, path: str, number: int | None) -> None:
        """Set or delete (None) an entry."""
        place = PurePosixPath(path)
        parent = self._find(place.parent)
        if number is None:
            del self._directories[parent][place.name]
        else:
            self._directories[parent][place.name] = number
        if self._chance.random() < _EARLY:
            self._keep_directory(parent)

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _keep_directory(self, number: int) -> None:
        self._step()
        self._backing.keep_directory(number, self._directories[number])

    def _keep_sectors(self, number: int, sectors: list[int]) -> None:
        self._chance.shuffle(sectors)
        content = self._contents[number]
        with self._backing.opened(number) as file:
            for sector in sectors:
                self._step()
                start = sector * SECTOR
                os.pwrite(file, content[start : start + SECTOR], start)

    def _change(self, number: int, start: int, stop: int) -> None:
        sectors = range(start // SECTOR, -(-stop // SECTOR))
        self._dirty[number].update(sectors)
        if self._chance.random() < _EARLY:
            share = self._chance.random()
            self._keep_sectors(number, [s for s in sectors if self._chance.random() < share])

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        number = self._find(path or "") if fh is None else fh
        content = self._contents.get(number)
        kind = stat.S_IFDIR | 0o755 if content is None else stat.S_IFREG | 0o600
        size = 0 if content is None else len(content)
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        return {"st_mode": kind, "st_size": size, "st_nlink": 1, **owner}

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        if name != CUT_AFTER:
            raise mfusepy.FuseOSError(errno.ENOTSUP)
        self._left = int(value)
        return 0

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *self._directories[self._find(path)]]

    def mkdir(self, path: str, mode: int) -> int:
        number = self._new()
        self._directories[number] = {}
        self._backing.directories[number] = {}
        self._enter(path, number)
        return 0

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        number = self._new()
        self._contents[number], self._dirty[number] = bytearray(), set()
        self._enter(path, number)
        return number

    def open(self, path: str, flags: int) -> int:
        return self._find(path)

    def rename(self, old: str, new: str) -> int:
        # As one change: after a power failure the file has one of the names.
        number, place = self._find(old), PurePosixPath(old)
        del self._directories[self._find(place.parent)][place.name]
        self._enter(new, number)
        return 0

    def unlink(self, path: str) -> int:
        self._find(path)
        self._enter(path, None)
        return 0

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._contents[fh][offset : offset + size])

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        self._grow(fh, offset + len(data))
        self._contents[fh][offset : offset + len(data)] = data
        self._change(fh, offset, offset + len(data))
        return len(data)

    def fallocate(self, path: str | None, mode: int, offset: int, size: int, fh: int) -> int:
        if mode:
            raise mfusepy.FuseOSError(errno.EOPNOTSUPP)
        self._grow(fh, offset + size)
        return 0

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        number = self._find(path or "") if fh is None else fh
        content = self._contents[number]
        before = len(content)
        del content[length:]
        self._grow(number, length)
        self._change(number, min(before, length), max(before, length))
        return 0

    def _grow(self, number: int, size: int) -> None:
        content = self._contents[number]
        content.extend(bytes(max(0, size - len(content))))

    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        self._step()
        self._keep_sectors(fh, sorted(self._dirty[fh]))
        self._dirty[fh].clear()
        with self._backing.opened(fh) as file:
            self._step()
            os.truncate(file, len(self._contents[fh]))
        self._step()
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._keep_directory(self._find(path))
        self._step()
        return 0


if __name__ == "__main__":
    mfusepy.FUSE(
        VolatileDisk(Backing(Path(sys.argv[1])), random.Random(int(sys.argv[3]))),
        sys.argv[2],
        foreground=True,
        nothreads=True,
        hard_remove=True,
        fsname="volatile",
    )
