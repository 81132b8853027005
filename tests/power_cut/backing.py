"""What a volatile disk still has after a power failure."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = 1
"""The number of the root directory."""

CUT_AFTER = "user.cut_after"
"""An extended attribute of the mount point: after so many steps of writing, the power is cut."""


class Backing:
    """`names.json` has the entries of each directory, and `contents` has the files, by number."""

    def __init__(self, directory: Path) -> None:
        self._contents, self._names = directory / "contents", directory / "names.json"
        self._contents.mkdir(parents=True, exist_ok=True)
        self.directories: dict[int, dict[str, int]] = {ROOT: {}}
        if self._names.exists():
            stored = json.loads(self._names.read_text())
            self.directories = {int(number): entries for number, entries in stored.items()}

    def numbers(self) -> list[int]:
        """Of all files and directories, also those that no directory has an entry for."""
        return [*self.directories, *(int(path.name) for path in self._contents.iterdir())]

    def content(self, number: int) -> bytes:
        """Of a file; empty if it was never synced."""
        path = self._contents / str(number)
        return path.read_bytes() if path.exists() else b""

    @contextlib.contextmanager
    def opened(self, number: int) -> Iterator[int]:
        """The descriptor of a file's content."""
        file = os.open(self._contents / str(number), os.O_RDWR | os.O_CREAT)
        try:
            yield file
        finally:
            os.close(file)

    def keep_directory(self, number: int, entries: dict[str, int]) -> None:
        """Replace the entries of a directory."""
        self.directories[number] = dict(entries)
        new = self._names.with_suffix(".new")
        new.write_text(json.dumps(self.directories))
        new.replace(self._names)
