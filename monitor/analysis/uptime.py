"""How long a sensor was up, time-weighted.

Each moment after the sensor's first heartbeat is one of five:

- up: between two heartbeats that are not further apart than the threshold. A pause, maintenance or
  a blind window does not change this: a heartbeat proves that the sensor was up, even if it was
  received late.
- Otherwise the moment is in a gap. It is paused; else maintenance; else unknown if monitoring was
  blind or the gap was not an outage (see monitor.analysis.gaps); else down.

The percentage leaves out unknown, paused and maintenance time. It uses the current thresholds.
"""

from typing import NamedTuple

from monitor.analysis.gaps import Evidence, Gap


class Uptime(NamedTuple):
    """Milliseconds of each status. Their sum is the part of the span after the first heartbeat."""

    up: int = 0
    down: int = 0
    unknown: int = 0
    maintenance: int = 0
    paused: int = 0

    @property
    def share(self) -> float | None:
        """up / (up + down), 0 to 1; None if both are 0."""
        known = self.up + self.down
        return self.up / known if known else None


def uptime(evidence: Evidence, since: int | None = None) -> Uptime:
    """Uptime over [since, evidence.stop), or over the whole evidence."""
    begin = max(evidence.begin, evidence.start if since is None else since)
    tally = Uptime(up=max(evidence.stop - begin, 0))
    for gap in evidence.judged_gaps:
        start = max(gap.start, begin)
        if start < gap.stop:
            tally = _moved(tally, evidence, gap, start)
    return tally


def _moved(tally: Uptime, evidence: Evidence, gap: Gap, start: int) -> Uptime:
    """The tally with the gap's time, from `start`, moved from `up` to the other statuses."""
    length = gap.stop - start
    unpaused = evidence.unpaused.between(start, gap.stop)
    watched = evidence.watched.between(start, gap.stop)
    observed = evidence.observed.between(start, gap.stop)
    down = observed if gap.outage else 0
    return Uptime(
        up=tally.up - length,
        down=tally.down + down,
        unknown=tally.unknown + watched - down,
        maintenance=tally.maintenance + unpaused - watched,
        paused=tally.paused + length - unpaused,
    )
