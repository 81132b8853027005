"""What the shipper at work says about itself, in a file that every worker can read."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

FILE = "shipper.json"
"""In the data directory."""


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
class Status:
    """Whether a 2xx leads to a stored heartbeat in time, and if not, why."""

    ready: bool
    reason: str
    at: int
    """When this was written (ms)."""
    stats: ShipperStats = field(default_factory=ShipperStats)


def write(path: Path, status: Status) -> None:
    """Replace the file as a whole. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(status))
    new.replace(path)
