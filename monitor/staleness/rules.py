"""The rules by which a silent sensor is down, and a sensor's status for pages."""

from enum import StrEnum
from typing import NamedTuple

from monitor.staleness.blindness import ObservedTime

PRESUMED_AFTER = 5
"""Thresholds of observed silence after which a sensor is presumed down, even if monitoring was
interrupted again and again. A lower number causes false alerts. Without this rule, frequent blind
windows could hide a dead sensor permanently."""


class Verdict(NamedTuple):
    """`down`: down at the horizon; `proven`: by the first rule. If the sensor is not down, it can't
    be down before `deadline` (ms)."""

    down: bool
    proven: bool
    deadline: int


def judge(
    seen: int, threshold: int, horizon: int, observed: ObservedTime, refused: int = 0
) -> Verdict:
    """Judges a sensor last seen at `seen` by the observed time up to `horizon`.

    First rule (proven): more than `threshold` observed since the later of its last heartbeat and
    the last blind window, and since `refused`: when a heartbeat of it was last refused by our fault
    (ms). Second rule (presumed): more than five thresholds observed since its
    last heartbeat. `deadline` assumes no further blind window; blind windows only delay it.
    """
    deadline = max(seen, observed.last_blind(horizon), refused) + threshold
    if deadline < horizon:
        return Verdict(True, True, deadline)
    presumed = horizon + PRESUMED_AFTER * threshold - observed.between(seen, horizon)
    if presumed < horizon:
        return Verdict(True, False, presumed)
    return Verdict(False, False, min(deadline, presumed))


class SensorStatus(StrEnum):
    """A sensor's status as pages show it."""

    WAITING = "waiting"
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    PAUSED = "paused"


def status(
    seen: int | None,
    threshold: int,
    now: int,
    paused: bool = False,
    incident_open: bool = False,
    monitored_since: int | None = None,
) -> SensorStatus:
    """The status. A sensor is down exactly while it has an open incident; silent without one, it is
    unknown.

    `monitored_since`: when it was resumed or added again. It is waiting until it reports, for at
    most its threshold.
    """
    if paused:
        return SensorStatus.PAUSED
    if incident_open:
        return SensorStatus.DOWN
    if seen is None:
        return SensorStatus.WAITING
    if seen < (monitored_since or 0) and now - (monitored_since or 0) <= threshold:
        return SensorStatus.WAITING
    return SensorStatus.UNKNOWN if now - seen > threshold else SensorStatus.UP
