"""Heartbeats for the tests of the stores."""

import os
import time

from monitor.model import DAY, HOUR, Heartbeat
from monitor.store.interface import Store

NOW = int(
    os.environ.setdefault("MONITOR_TEST_NOW", str(time.time_ns() // 1_000_000 // HOUR * HOUR - DAY))
)
"""Within the retention, aligned to the hour, and equal in subprocesses."""


def live(mac: int, moment: int, **metrics: float) -> Heartbeat:
    """A heartbeat without a time of the sensor."""
    return Heartbeat(mac, moment, moment, True, metrics or None)


def history(mac: int, moment: int, received: int = NOW, **metrics: float) -> Heartbeat:
    """A heartbeat that was sent late."""
    return Heartbeat(mac, moment, received, False, metrics or None)


def stored(store: Store, *macs: int) -> list[Heartbeat]:
    """The heartbeats of these sensors around NOW."""
    return list(store.heartbeats(macs, NOW - 2 * DAY, NOW + DAY))
