"""The dead letters: heartbeats that the store rejected, with the reason, as NDJSON."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from monitor.model import Heartbeat, format_mac, format_time


class DeadLetters:
    """An append-only file. An operator may move it away at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, refused: Sequence[tuple[Heartbeat, str]], now: int) -> None:
        """Appends the heartbeats and syncs the file. Raises OSError; a retry may then write a line
        twice."""
        lines = b"".join(
            msgspec.json.encode(
                {
                    "mac_address": format_mac(beat.mac),
                    "time": format_time(beat.time),
                    "received": format_time(beat.received),
                    "metrics": beat.metrics,
                    "reason": reason,
                    "refused": format_time(now),
                }
            )
            + b"\n"
            for beat, reason in refused
        )
        with self._path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
