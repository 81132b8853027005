"""Flapping: a sensor that is down again and again causes one message for the whole episode."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monitor.model import HOUR, Held, Member

_THRESHOLDS = 6
"""The window is at least this many thresholds: each outage takes at least one threshold."""


class FlappingRule(NamedTuple):
    """A sensor is flapping after `outages` (at least 2) within `window` ms."""

    outages: int
    window: int

    def window_of(self, threshold: int) -> int:
        """The window for a sensor with this threshold (ms)."""
        return max(self.window, _THRESHOLDS * threshold)


USUAL = FlappingRule(3, HOUR)


def flapping_since(
    earlier: Sequence[tuple[int, int | None]], threshold: int, now: int, rule: FlappingRule
) -> int | None:
    """When the flapping episode started that an incident opened at `now` belongs to; None if the
    sensor is not flapping.

    `earlier`: (opened at, flapping since) of the sensor's earlier incidents, in order.
    """
    since = now - rule.window_of(threshold)
    recent = [row for row in earlier if row[0] > since]
    if len(recent) + 1 < rule.outages:
        return None
    return recent[-1][1] or now


def held(members: Mapping[int, Member], rule: FlappingRule, now: int) -> dict[int, Held]:
    """Incident id -> until when alerts do not include it: a flapping sensor is reported again only
    after it was silent for the whole window."""
    ends = {
        number: member.opened_at + rule.window_of(member.threshold)
        for number, member in members.items()
        if member.flapping_since is not None
    }
    return {number: Held(end, "flapping") for number, end in ends.items() if end > now}
