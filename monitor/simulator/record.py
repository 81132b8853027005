"""Files that tell what was sent and what was acknowledged, to be compared with the store."""

import errno
import json
import os
import threading
import time
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.model import format_time


class Record:
    """Two CSV files of `time,mac_address`, either of them optional. Any thread may write.

    Each row reaches the operating system at once, so that a killed run loses none. Raises OSError.
    """

    def __init__(self, acknowledged: Path | None = None, sent: Path | None = None) -> None:
        with ExitStack() as opened:
            self._acknowledged = _begin(opened, acknowledged)
            self._sent = _begin(opened, sent)
            self._files = opened.pop_all()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()

    def attempted(self, mac: str) -> None:
        """About to be sent, at this machine's time: it may get stored whatever comes after."""
        if self._sent is not None:
            with self._lock:
                _write(self._sent, format_time(time.time_ns() // 1_000_000), mac)

    def acknowledged(self, mac: str, reply: bytes) -> bool:
        """Got a 2xx, whose `time` is when it was stored; False if it is needed and not there."""
        if self._acknowledged is None:
            return True
        try:
            stored = json.loads(reply)["time"]
        except (ValueError, TypeError, KeyError):
            return False
        with self._lock:
            _write(self._acknowledged, str(stored), mac)
        return True


def _begin(opened: ExitStack, path: Path | None) -> FileIO | None:
    if path is None:
        return None
    file = opened.enter_context(path.open("wb", buffering=0))
    _write(file, "time", "mac_address")
    return file


def _write(file: FileIO, *cells: str) -> None:
    row = ",".join(cells).encode() + b"\n"
    if file.write(row) != len(row):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
