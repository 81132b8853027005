"""How long a sensor was up, time-weighted.

Each moment after the sensor's first heartbeat is one of five:

- up: between two heartbeats that are not further apart than the threshold, whatever else was
  going on: a heartbeat proves life, also one that was told late;
- else, in a silence: paused; else maintenance; else unknown while monitoring was blind, or when
  the silence was no outage (monitor.analysis.gaps says which are); else down.

The percentage leaves out what is unknown, paused or maintenance. The thresholds are those in force
now.
"""

from typing import NamedTuple

from monitor.analysis.gaps import Evidence, Gap


class Uptime(NamedTuple):
    """Milliseconds of each kind; together the part of the span after the first heartbeat."""

    up: int = 0
    down: int = 0
    unknown: int = 0
    maintenance: int = 0
    paused: int = 0

    @property
    def share(self) -> float | None:
        """Up, of the time that was either up or down: 0 to 1; None without such time."""
        told = self.up + self.down
        return self.up / told if told else None


def uptime(evidence: Evidence, since: int | None = None) -> Uptime:
    """Over [since, evidence.stop), or all that the evidence spans."""
    begin = max(evidence.begin, evidence.start if since is None else since)
    tally = Uptime(up=max(evidence.stop - begin, 0))
    for silence in evidence.silences:
        start = max(silence.start, begin)
        if start < silence.stop:
            tally = _less(tally, evidence, silence, start)
    return tally


def _less(tally: Uptime, evidence: Evidence, silence: Gap, start: int) -> Uptime:
    """The tally without the silence's time, from `start` on, among what is up."""
    length = silence.stop - start
    unpaused = evidence.unpaused.between(start, silence.stop)
    watched = evidence.watched.between(start, silence.stop)
    listened = evidence.listened.between(start, silence.stop)
    down = listened if silence.outage else 0
    return Uptime(
        up=tally.up - length,
        down=tally.down + down,
        unknown=tally.unknown + watched - down,
        maintenance=tally.maintenance + unpaused - watched,
        paused=tally.paused + length - unpaused,
    )
