"""Incidents and the messages they cause, written in the caller's transaction."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from monitor.incidents import flapping, grouping, machine, routing
from monitor.incidents.flapping import USUAL, FlappingRule
from monitor.incidents.machine import Event
from monitor.incidents.matching import attributes
from monitor.outbox import notifications
from monitor.outbox.served_channels import DISABLED
from monitor.state import incidents, suppressions, tally
from monitor.state.incidents import AlertGroup, Incident
from monitor.state.sensors import Sensor


@dataclass(frozen=True, slots=True)
class Alerting:
    """How messages are caused; durations in ms."""

    channels: tuple[str, ...]
    """Those that the settings switch on."""
    group_wait: int
    group_interval: int
    flapping: FlappingRule = USUAL
    tracking_kinds: frozenset[str] = field(default_factory=frozenset)
    """Kinds of channels that receive every closing, not only recoveries."""


class Opening(NamedTuple):
    """A silence that became an outage."""

    sensor: Sensor
    last_seen: int
    threshold: int
    proven: bool
    usual_interval: int | None = None
    """How far apart its heartbeats were (ms), where that could be told."""
    interruptions: int = 0
    """How often monitoring was interrupted meanwhile, for a presumption."""


class Closing(NamedTuple):
    """The end of an incident; `recovered_at` is the first proof of life, for Event.RECOVER."""

    incident: Incident
    event: Event
    recovered_at: int | None = None


def open_all(
    connection: Connection,
    openings: Sequence[Opening],
    alerting: Alerting,
    now: int,
    version: int,
    fleet_wide: bool = False,
) -> None:
    """Open one incident for each silence and owe its group a message.

    `fleet_wide`: almost all sensors are silent, so sites do not matter.
    """
    # Groups before anything that is decided about them: a notifier may be closing one just now.
    held = incidents.lock_open_groups(connection)
    groups = {(group.cohort, group.route): group.id for group in held.values()}
    earlier = incidents.open_incidents(connection)
    new = {opening.sensor.mac: opening for opening in openings if opening.sensor.mac not in earlier}
    if not new:
        return
    route_to = routing.read(connection, alerting.channels, alerting.tracking_kinds)
    untold, together = _untold(connection, earlier, held)
    cohorts = grouping.assign(
        {mac: opening.sensor.site for mac, opening in new.items()},
        {mac: held[earlier[mac].group_id].cohort for mac in untold},
        together,
        fleet_wide,
    )
    routes = {mac: route_to.route_of(_attributes(opening.sensor)) for mac, opening in new.items()}
    routes |= {mac: held[earlier[mac].group_id].route for mac in untold}
    group_of = {}
    for mac, cohort in cohorts.items():
        key = cohort, routes[mac]
        if key not in groups:
            groups[key] = incidents.open_group(connection, *key, now)
        group_of[mac] = groups[key]
    flaps = _flapping(connection, new, alerting.flapping, now)
    incidents.add(
        connection,
        [
            {
                "mac": mac,
                "last_seen": opening.last_seen,
                "threshold": opening.threshold,
                "proven": opening.proven,
                "opened_at": now,
                "usual_interval": opening.usual_interval,
                "interruptions": opening.interruptions,
                "flapping_since": flaps.get(mac),
                "group_id": group_of[mac],
                "version": version,
            }
            for mac, opening in new.items()
        ],
    )
    moving = {earlier[mac]: group_of[mac] for mac in untold & group_of.keys()}
    _join(connection, moving, now, version)
    begun = {group_of[mac]: now for mac in new}
    owed = {(group_of[mac], routes[mac], "down") for mac in new}
    owed |= {(group_of[mac], routes[mac], "flapping") for mac in new if flaps.get(mac) == now}
    for row, group_id in moving.items():
        begun[group_id] = min(begun.get(group_id, now), row.opened_at)
        owed.add((group_id, routes[row.mac], "down"))
        if row.flapping_since == row.opened_at:
            owed.add((group_id, routes[row.mac], "flapping"))
    for group_id, route, kind in sorted(owed):
        recipients = route_to.recipients(route)
        if kind == "flapping":
            # Only an outage that lasts, and is not acknowledged, escalates.
            recipients = [who for who in recipients if not who.delay]
        _owe(connection, group_id, kind, recipients, alerting, now, now - begun[group_id])
    _note_switched_off(connection, {mac: routes[mac] for mac in new}, route_to, now)


def close_all(
    connection: Connection,
    closings: Sequence[Closing],
    alerting: Alerting,
    now: int,
    version: int,
) -> None:
    """Close incidents; for those that recovered, owe their groups a message.

    The caller holds the version. Incidents that were closed meanwhile stay as they are.
    """
    # As they are now: the caller read them in an earlier transaction.
    current = incidents.still_open(connection, [closing.incident.id for closing in closings])
    closings = [closing for closing in closings if closing.incident.id in current]
    if not closings:
        return
    recovered: dict[int, bool] = defaultdict(bool)
    for closing in closings:
        row = current[closing.incident.id]
        machine.move(machine.state_of(row.acknowledged_at, row.closed_at), closing.event)
        recovered[row.group_id] |= closing.event is Event.RECOVER
    groups = incidents.lock_groups(connection, recovered)
    incidents.change(
        connection,
        {
            closing.incident.id: {
                "closed_at": now,
                "closed_reason": closing.event.value,
                "recovered_at": closing.recovered_at,
                "version": version,
            }
            for closing in closings
        },
    )
    tally.add(connection, "closed", Counter((closing.event.value,) for closing in closings))
    route_to = routing.read(connection, alerting.channels, alerting.tracking_kinds)
    for group_id, group in groups.items():
        told = route_to.recipients if recovered[group_id] else route_to.tracking
        _owe(connection, group_id, "recovered", told(group.route), alerting, now)
        notifications.close_group_if_done(connection, group_id, now)


def _attributes(sensor: Sensor) -> Mapping[str, str]:
    return attributes(sensor.mac, sensor.name, sensor.site, sensor.labels)


def _note_switched_off(
    connection: Connection, routes: Mapping[int, str], route_to: routing.Routing, now: int
) -> None:
    """Write into the ledger which channels are not notified since they are switched off."""
    spared: dict[str, list[int]] = defaultdict(list)
    for mac, route in routes.items():
        for name in route_to.switched_off(route):
            spared[name].append(mac)
    numbers = incidents.open_numbers(connection, routes) if spared else {}
    for name, macs in spared.items():
        reasons = {numbers[mac]: (DISABLED, None) for mac in macs}
        suppressions.record(connection, name, "down", reasons, now)


def _untold(
    connection: Connection, earlier: Mapping[int, Incident], groups: Mapping[int, AlertGroup]
) -> tuple[set[int], int]:
    """Earlier incidents that may still join others, since no message has reported them; and how
    many without a site can't, or have joined others already."""
    # A scheduler of an older version may have left an open incident in a closed group.
    earlier = {mac: row for mac, row in earlier.items() if row.group_id in groups}
    silent = incidents.untold(connection, {row.group_id for row in earlier.values()})
    untold = {mac for mac, row in earlier.items() if row.group_id in silent}
    cohorts = {mac: groups[row.group_id].cohort for mac, row in earlier.items()}
    together = sum(
        1
        for mac, key in cohorts.items()
        if grouping.is_stray(key) and not (mac in untold and grouping.is_alone(key))
    )
    return untold, together


def _flapping(
    connection: Connection, new: Mapping[int, Opening], rule: FlappingRule, now: int
) -> dict[int, int | None]:
    longest = max(rule.window_of(opening.threshold) for opening in new.values())
    earlier = incidents.history(connection, new, now - longest)
    return {
        mac: flapping.flapping_since(earlier[mac], new[mac].threshold, now, rule) for mac in earlier
    }


def _join(connection: Connection, moving: Mapping[Incident, int], now: int, version: int) -> None:
    """Move incidents that no message has reported into the group that reports all."""
    incidents.change(
        connection,
        {row.id: {"group_id": group_id, "version": version} for row, group_id in moving.items()},
    )
    for group_id in sorted({row.group_id for row in moving} - set(moving.values())):
        notifications.cancel_unfrozen(connection, group_id, "included in another message", now)
        notifications.close_group_if_done(connection, group_id, now)


def _owe(
    connection: Connection,
    group_id: int,
    kind: str,
    recipients: Sequence[routing.Recipient],
    alerting: Alerting,
    now: int,
    waited: int = 0,
) -> None:
    """`waited`: how long the first of those it tells of has waited for others already."""
    for who in recipients:
        notifications.enqueue(
            connection,
            group_id,
            kind,
            who.channel,
            now,
            wait=max(alerting.group_wait, who.delay if kind == "down" else 0) - waited,
            interval=alerting.group_interval,
            delay=who.delay if kind == "down" else 0,
        )
