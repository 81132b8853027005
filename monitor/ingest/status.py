"""The shipper's status, in a file that every worker can read."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from monitor.clock import WRONG_CLOCK, Clock
from monitor.decoding import from_json
from monitor.model import SECOND

FILE = "shipper.json"
"""In the data directory."""

LONGEST_AGE = 15 * SECOND
"""An older status is out of date: the shipper no longer writes it."""


@dataclass
class ShipperStats:
    """Counters since this shipper started; current times and sizes."""

    shipped: int = 0
    dead_letters: int = 0
    damaged: int = 0
    backlog_bytes: int = 0
    watermark: int = 0
    """Everything received up to this time (ms) is stored."""
    last_success: int = 0
    """When the store last accepted a write (ms)."""
    pulsed: bool = False
    """Whether a coverage span of this shipper is stored."""


@dataclass(frozen=True)
class IngestStatus:
    """Whether accepted heartbeats are stored in time; if not, `reason` is why."""

    ready: bool
    reason: str
    at: int
    """When this was written (ms)."""
    stats: ShipperStats = field(default_factory=ShipperStats)
    clock_offset: int = 0
    """The store's clock minus this host's clock (ms)."""


def write(path: Path, status: IngestStatus) -> None:
    """Replaces the file atomically. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(status))
    new.replace(path)


def read(path: Path) -> IngestStatus:
    """The last written status. Raises OSError, msgspec.DecodeError."""
    return from_json(path.read_bytes(), IngestStatus)


class ClockCheck:
    """Callable: returns why this host must not accept heartbeats; None if its clock is right."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock

    def __call__(self) -> str | None:
        try:
            status = read(self._path)
        except (OSError, msgspec.DecodeError):
            return None
        age = self._clock.now() - status.at
        if abs(age) > LONGEST_AGE or abs(status.clock_offset) <= WRONG_CLOCK:
            return None
        return f"the store's clock is {status.clock_offset / SECOND:+.0f} s off this host's clock"
