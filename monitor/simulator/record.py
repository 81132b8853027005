"""Records sent and acknowledged heartbeats in files, to compare them with the store."""

import errno
import json
import os
import threading
import time
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Self

from monitor.model import format_time


class Record:
    """Two optional CSV files with `time,mac_address`. Thread-safe. Raises OSError.

    Rows are written without buffering, so a killed run loses none.
    """

    def __init__(self, acknowledged: Path | None = None, sent: Path | None = None) -> None:
        with ExitStack() as opened:
            self._acknowledged = _create(opened, acknowledged)
            self._sent = _create(opened, sent)
            self._files = opened.pop_all()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._files.close()

    def attempted(self, mac: str) -> None:
        """Records that a heartbeat is about to be sent, with this host's time. Even if the request
        fails, it may be stored."""
        if self._sent is not None:
            with self._lock:
                _write(self._sent, format_time(time.time_ns() // 1_000_000), mac)

    def acknowledged(self, mac: str, reply: bytes) -> bool:
        """Records a 2xx reply with its `time`. Returns False if the reply has no `time`."""
        if self._acknowledged is None:
            return True
        try:
            stored = json.loads(reply)["time"]
        except (ValueError, TypeError, KeyError):
            return False
        with self._lock:
            _write(self._acknowledged, str(stored), mac)
        return True


def _create(opened: ExitStack, path: Path | None) -> FileIO | None:
    if path is None:
        return None
    file = opened.enter_context(path.open("wb", buffering=0))
    _write(file, "time", "mac_address")
    return file


def _write(file: FileIO, *cells: str) -> None:
    row = ",".join(cells).encode() + b"\n"
    if file.write(row) != len(row):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
