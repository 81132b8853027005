"""Files that tell what was sent and what was acknowledged, to be compared with the store."""

import json
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from monitor.model import format_time


class Record:
    """Two CSV files of `time,mac_address`, either of them optional. Any thread may write.

    Each row reaches the operating system at once, so that a killed run loses none. Raises OSError.
    """

    def __init__(self, acknowledged: Path | None = None, sent: Path | None = None) -> None:
        self._acknowledged, self._sent = _begin(acknowledged), _begin(sent)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self._acknowledged, self._sent):
            if file is not None:
                file.close()

    def attempted(self, mac: str) -> None:
        """About to be sent, at this machine's time: it may get stored whatever comes after."""
        if self._sent is not None:
            self._write(self._sent, format_time(time.time_ns() // 1_000_000), mac)

    def acknowledged(self, mac: str, reply: bytes) -> bool:
        """Got a 2xx, whose `time` is when it was stored; False if it is needed and not there."""
        if self._acknowledged is None:
            return True
        try:
            stored = json.loads(reply)["time"]
        except (ValueError, TypeError, KeyError):
            return False
        self._write(self._acknowledged, str(stored), mac)
        return True

    def _write(self, file: TextIO, *cells: str) -> None:
        with self._lock:
            file.write(",".join(cells) + "\n")


def _begin(path: Path | None) -> TextIO | None:
    if path is None:
        return None
    file = path.open("w", encoding="utf-8", buffering=1)
    file.write("time,mac_address\n")
    return file
