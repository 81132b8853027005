"""How often a sensor was usually heard, before it fell silent."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from statistics import median_low

from monitor.store.interface import Store, StoreError

MOST = 50
"""So many sensors are looked up at a time: a message names fewer."""

_THRESHOLDS = 6
"""Times its threshold is looked back; more would cost more and tell little more."""

_FEWEST = 3
"""Intervals that make a habit."""


def usual_intervals(
    store: Store, silent: Mapping[int, tuple[int, int]], horizon: int
) -> dict[int, int]:
    """mac -> median of the intervals (ms) before the silence, where there were enough.

    `silent`: mac -> (last seen, threshold). Nothing for sensors silent for long, or when the
    store can't be asked: an alarm does not wait for it.
    """
    recent = {
        mac: seen - _THRESHOLDS * threshold
        for mac, (seen, threshold) in silent.items()
        if horizon - seen < 2 * _THRESHOLDS * threshold
    }
    asked = sorted(recent, key=lambda mac: silent[mac][0])[:MOST]
    if not asked:
        return {}
    times: dict[int, list[int]] = defaultdict(list)
    start, stop = min(recent[mac] for mac in asked), max(silent[mac][0] for mac in asked)
    try:
        for beat in store.heartbeats(asked, start, stop + 1):
            if beat.live and beat.received >= recent[beat.mac]:
                times[beat.mac].append(beat.received)
    except StoreError:
        return {}
    intervals = {
        mac: [later - earlier for earlier, later in pairwise(sorted(heard))]
        for mac, heard in times.items()
    }
    return {mac: median_low(each) for mac, each in intervals.items() if len(each) >= _FEWEST}
