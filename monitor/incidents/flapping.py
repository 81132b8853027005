"""A sensor that falls silent again and again is one piece of news, not a pair each time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monitor.model import HOUR, Held, Member

_THRESHOLDS = 6
"""The window is at least so many thresholds: outages shorter than one can't be seen at all."""


class FlappingRule(NamedTuple):
    """`outages` of one sensor, two at least, within `window` ms make it flapping."""

    outages: int
    window: int

    def window_of(self, threshold: int) -> int:
        """The window for a sensor of this threshold (ms)."""
        return max(self.window, _THRESHOLDS * threshold)


USUAL = FlappingRule(3, HOUR)


def flapping_since(
    earlier: Sequence[tuple[int, int | None]], threshold: int, now: int, rule: FlappingRule
) -> int | None:
    """When the episode began that an incident opening `now` belongs to; None: it is no episode.

    `earlier`: (opened at, flapping since) of the sensor's former incidents, in order.
    """
    since = now - rule.window_of(threshold)
    recent = [row for row in earlier if row[0] > since]
    if len(recent) + 1 < rule.outages:
        return None
    return recent[-1][1] or now


def held(members: Mapping[int, Member], rule: FlappingRule, now: int) -> dict[int, Held]:
    """Incident id -> until when down messages leave it out. A flapping sensor is reported again
    only when it was silent for the whole window."""
    ends = {
        number: member.opened_at + rule.window_of(member.threshold)
        for number, member in members.items()
        if member.flapping_since is not None
    }
    return {number: Held(end, "flapping") for number, end in ends.items() if end > now}
