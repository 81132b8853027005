"""What the shipper at work says about itself, in a file that every worker can read."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from monitor.clock import Clock
from monitor.decoding import from_json
from monitor.model import SECOND

FILE = "shipper.json"
"""In the data directory."""

WRONG_CLOCK = 10 * SECOND
"""A host whose clock is so far off the store's would store heartbeats with wrong times."""

_FRESH = 15 * SECOND


@dataclass
class ShipperStats:
    """Counters since this shipper began; moments and sizes as they are now."""

    shipped: int = 0
    dead_letters: int = 0
    damaged: int = 0
    backlog_bytes: int = 0
    watermark: int = 0
    """All received up to this moment is stored (ms)."""
    last_success: int = 0
    """When the store last took what it was given (ms)."""
    pulsed: bool = False
    """A pulse of this shipper is stored."""


@dataclass(frozen=True)
class IngestStatus:
    """Whether a 2xx leads to a stored heartbeat in time, and if not, why."""

    ready: bool
    reason: str
    at: int
    """When this was written (ms)."""
    stats: ShipperStats = field(default_factory=ShipperStats)
    clock_offset: int = 0
    """The store's time less ours (ms)."""


def write(path: Path, status: IngestStatus) -> None:
    """Replace the file as a whole. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(status))
    new.replace(path)


def read(path: Path) -> IngestStatus:
    """What was written last. Raises OSError, msgspec.DecodeError."""
    return from_json(path.read_bytes(), IngestStatus)


class ClockCheck:
    """Callable: why this host must not stamp heartbeats; None while its clock is right."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock

    def __call__(self) -> str | None:
        try:
            status = read(self._path)
        except (OSError, msgspec.DecodeError):
            return None
        told_ago = self._clock.now() - status.at
        if abs(told_ago) > _FRESH or abs(status.clock_offset) <= WRONG_CLOCK:
            return None
        return f"the store's clock is {status.clock_offset / SECOND:+.0f} s off this host's clock"
