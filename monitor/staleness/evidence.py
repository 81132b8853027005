"""How often a sensor usually reported before it became silent."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from statistics import median_low

from monitor.store.interface import Store, StoreError

MOST = 50
"""The maximum number of sensors per call: a message names fewer."""

_THRESHOLDS = 6
"""How far to look back, in thresholds of the sensor. More costs time and improves little."""

_FEWEST = 3
"""The minimum number of intervals for a median."""


def usual_intervals(
    store: Store, silent: Mapping[int, tuple[int, int]], horizon: int
) -> dict[int, int]:
    """mac -> median interval (ms) before the sensor became silent, if there were enough intervals.

    `silent`: mac -> (last seen, threshold). Sensors that are silent for long are left out. The
    result is empty if the store is unavailable: alerts don't wait for it.
    """
    recent = {
        mac: seen - _THRESHOLDS * threshold
        for mac, (seen, threshold) in silent.items()
        if horizon - seen < 2 * _THRESHOLDS * threshold
    }
    selected = sorted(recent, key=lambda mac: silent[mac][0])[:MOST]
    if not selected:
        return {}
    times: dict[int, list[int]] = defaultdict(list)
    start, stop = min(recent[mac] for mac in selected), max(silent[mac][0] for mac in selected)
    try:
        for beat in store.heartbeats(selected, start, stop + 1):
            if beat.live and beat.received >= recent[beat.mac]:
                times[beat.mac].append(beat.received)
    except StoreError:
        return {}
    intervals = {
        mac: [later - earlier for earlier, later in pairwise(sorted(received))]
        for mac, received in times.items()
    }
    return {mac: median_low(each) for mac, each in intervals.items() if len(each) >= _FEWEST}
