"""Heartbeats that the store refuses for good, kept with the reason, one JSON object a line."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from monitor.model import Heartbeat, format_mac, format_time


class DeadLetters:
    """A file that only grows; whoever reads it may move it away at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, refused: Sequence[tuple[Heartbeat, str]], now: int) -> None:
        """On disk when it returns. Raises OSError; a repetition may then write a line twice."""
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
