"""When silence is an outage: the two clauses, and what a page may say of a sensor."""

from enum import StrEnum
from typing import NamedTuple

from monitor.staleness.blindness import ObservedTime

PRESUMED_AFTER = 5
"""Thresholds of listened silence after which a sensor is presumed down even though monitoring
was interrupted again and again; fewer report living sensors, none hide dead ones for ever."""


class Verdict(NamedTuple):
    """`down` at the horizon, `proven` by the first clause; else not before `deadline` (ms)."""

    down: bool
    proven: bool
    deadline: int


def judge(seen: int, threshold: int, horizon: int, listening: ObservedTime) -> Verdict:
    """Judge a sensor last seen at `seen` by what was listened to up to `horizon`.

    First clause, proof: more than `threshold` listened since the later of its last heartbeat and
    the last blind window. Second clause, presumption: more than five thresholds listened since
    its last heartbeat. `deadline` assumes that listening goes on; blindness only defers it.
    """
    deadline = max(seen, listening.last_blind(horizon)) + threshold
    if deadline < horizon:
        return Verdict(True, True, deadline)
    presumed = horizon + PRESUMED_AFTER * threshold - listening.between(seen, horizon)
    if presumed < horizon:
        return Verdict(True, False, presumed)
    return Verdict(False, False, min(deadline, presumed))


class SensorStatus(StrEnum):
    """What a page says of a sensor."""

    WAITING = "waiting"
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    PAUSED = "paused"


def status(
    seen: int | None, threshold: int, now: int, paused: bool = False, incident_open: bool = False
) -> SensorStatus:
    """Down exactly while an incident is open; silence without one is not known to be an outage."""
    if paused:
        return SensorStatus.PAUSED
    if incident_open:
        return SensorStatus.DOWN
    if seen is None:
        return SensorStatus.WAITING
    return SensorStatus.UNKNOWN if now - seen > threshold else SensorStatus.UP
