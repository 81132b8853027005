"""Finds the silent sensors that are down, and confirms them in the store."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Engine

from monitor.incidents import grouping
from monitor.incidents.service import Opening
from monitor.staleness.blindness import ObservedTime
from monitor.staleness.deadlines import Deadlines
from monitor.staleness.evidence import usual_intervals
from monitor.staleness.excuses import refused_by_us
from monitor.staleness.last_seen import LastSeen
from monitor.staleness.rules import Verdict, judge
from monitor.staleness.sensor_cache import SensorCache
from monitor.store.interface import Store

MOST = 50_000
"""The maximum number of incidents that one sweep opens: about 20 s of queries and writes."""

_CONFIRM_THRESHOLDS = 6
"""How far back (in thresholds) the store is queried to confirm that a sensor is down."""


def openings(
    store: Store,
    view: LastSeen,
    registry: SensorCache,
    deadlines: Deadlines,
    horizon: int,
    observed: ObservedTime,
    now: int,
    engine: Engine,
) -> list[Opening]:
    """Judges the sensors whose deadline passed, and confirms those that seem down in the store.

    Sensors that are not down get a new deadline. If more than MOST are down, the next sweep judges
    the rest. Raises StoreUnavailable, StateUnavailable.
    """
    silent = [*_down(deadlines.passed(horizon), view, registry, deadlines, horizon, observed, {})]
    if not silent:
        return []
    times, threshold = view.times, registry.threshold
    for mac in silent[MOST:]:
        deadlines.push(registry.deadline(mac, times[mac]), mac)
    silent = silent[:MOST]
    view.confirm(silent, horizon - _CONFIRM_THRESHOLDS * registry.longest_threshold, now)
    since = horizon - registry.longest_threshold
    refused = refused_by_us(engine, silent, since, now)
    down = _down(silent, view, registry, deadlines, horizon, observed, refused)
    intervals = usual_intervals(store, {mac: (times[mac], threshold(mac)) for mac in down}, horizon)
    return [
        Opening(
            registry.sensors[mac],
            times[mac],
            threshold(mac),
            verdict.proven,
            intervals.get(mac),
            0
            if verdict.proven
            else observed.interruptions(registry.silent_since(mac, times[mac]), horizon),
        )
        for mac, verdict in down.items()
    ]


def is_fleet_wide(registry: SensorCache, times: Mapping[int, int], horizon: int) -> bool:
    """Whether nearly all sensors, at more than one site, are overdue. `times`: mac -> last seen."""
    overdue = watched = 0
    sites = set()
    for mac, sensor in registry.sensors.items():
        if sensor.live and not sensor.paused and sensor.forgotten_at is None:
            watched += 1
            sites.add(sensor.site)
            silence = horizon - registry.silent_since(mac, times.get(mac, 0))
            overdue += 2 * silence > registry.threshold(mac)
    return grouping.is_fleet_wide(overdue, watched, len(sites))


def _down(
    macs: Iterable[int],
    view: LastSeen,
    registry: SensorCache,
    deadlines: Deadlines,
    horizon: int,
    observed: ObservedTime,
    refused: Mapping[int, int],
) -> dict[int, Verdict]:
    down = {}
    for mac in macs:
        if not registry.may_open(registry.sensors[mac]):
            continue
        since, threshold = registry.silent_since(mac, view.times[mac]), registry.threshold(mac)
        verdict = judge(since, threshold, horizon, observed, refused.get(mac, 0))
        if verdict.down:
            down[mac] = verdict
        else:
            deadlines.push(verdict.deadline, mac)
    return down
