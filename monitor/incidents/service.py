"""Opens and closes incidents, and enqueues their messages, in the caller's transaction."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
    """How incidents are grouped, and who is notified; durations in ms."""

    channels: tuple[str, ...]
    """The channels that the settings switch on."""
    group_wait: int
    group_interval: int
    flapping: FlappingRule = USUAL
    tracking_kinds: frozenset[str] = field(default_factory=frozenset)
    """Kinds of channels that receive every closing, not only recoveries."""


class Opening(NamedTuple):
    """A sensor that is down and has no open incident."""

    sensor: Sensor
    last_seen: int
    threshold: int
    proven: bool
    usual_interval: int | None = None
    """The usual interval (ms) between its heartbeats before the silence, if known."""
    interruptions: int = 0
    """The number of blind windows during the silence, if it is presumed down."""


class Closing(NamedTuple):
    """An incident to close."""

    incident: Incident
    event: Event
    recovered_at: int | None = None
    """The first heartbeat after the silence (ms), for Event.RECOVER."""


class _Reported(NamedTuple):
    """An incident that the next message about its group reports."""

    group_id: int
    route: str
    opened_at: int
    starts_flapping: bool


def open_all(
    connection: Connection,
    openings: Sequence[Opening],
    alerting: Alerting,
    now: int,
    version: int,
    fleet_wide: bool = False,
) -> None:
    """Opens one incident for each sensor that has none, and enqueues the messages.

    Earlier incidents that no message has reported move into the same group if they have the same
    cause. `fleet_wide`: whether almost all sensors are silent; then sites do not matter.
    """
    # Lock the groups before deciding anything about them: a notifier may be closing one just now.
    groups = incidents.lock_open_groups(connection)
    earlier = incidents.open_incidents(connection)
    new = {opening.sensor.mac: opening for opening in openings if opening.sensor.mac not in earlier}
    if not new:
        return
    routes_in_force = routing.read(connection, alerting.channels, alerting.tracking_kinds)
    unreported, without_site = _unreported(connection, earlier, groups)
    group_of_earlier = {mac: groups[earlier[mac].group_id] for mac in unreported}
    cohorts = grouping.assign(
        {mac: opening.sensor.site for mac, opening in new.items()},
        {mac: group.cohort for mac, group in group_of_earlier.items()},
        without_site,
        fleet_wide,
    )
    routes = {
        **{mac: routes_in_force.route_of(_attributes(new[mac].sensor)) for mac in new},
        **{mac: group.route for mac, group in group_of_earlier.items()},
    }
    group_ids = _find_groups(connection, groups.values(), cohorts, routes, now)
    flapping_since = _flapping_since(connection, new, alerting.flapping, now)
    incidents.add(
        connection,
        [
            _columns(opening, now, flapping_since.get(mac), group_ids[mac], version)
            for mac, opening in new.items()
        ],
    )
    moving = {earlier[mac]: group_ids[mac] for mac in unreported & group_ids.keys()}
    _move(connection, moving, now, version)
    reported = [
        *(
            _Reported(group_ids[mac], routes[mac], now, flapping_since.get(mac) == now)
            for mac in new
        ),
        *(
            _Reported(group_id, routes[row.mac], row.opened_at, row.flapping_since == row.opened_at)
            for row, group_id in moving.items()
        ),
    ]
    _enqueue_alerts(connection, reported, routes_in_force, alerting, now)
    _record_disabled(connection, {mac: routes[mac] for mac in new}, routes_in_force, now)


def _columns(
    opening: Opening, now: int, flapping_since: int | None, group_id: int, version: int
) -> dict[str, Any]:
    return {
        "mac": opening.sensor.mac,
        "last_seen": opening.last_seen,
        "threshold": opening.threshold,
        "proven": opening.proven,
        "opened_at": now,
        "usual_interval": opening.usual_interval,
        "interruptions": opening.interruptions,
        "flapping_since": flapping_since,
        "group_id": group_id,
        "version": version,
    }


def _find_groups(
    connection: Connection,
    open_groups: Iterable[AlertGroup],
    cohorts: Mapping[int, str],
    routes: Mapping[int, str],
    now: int,
) -> dict[int, int]:
    """mac -> id of the open group with its cohort and route, which is created if there is none."""
    ids = {(group.cohort, group.route): group.id for group in open_groups}
    found = {}
    for mac, cohort in cohorts.items():
        key = cohort, routes[mac]
        if key not in ids:
            ids[key] = incidents.open_group(connection, *key, now)
        found[mac] = ids[key]
    return found


def _enqueue_alerts(
    connection: Connection,
    reported: Sequence[_Reported],
    routes: routing.Routing,
    alerting: Alerting,
    now: int,
) -> None:
    """Enqueues the down and flapping messages about these incidents."""
    first_opened: dict[int, int] = {}
    messages = set()
    for each in reported:
        first_opened[each.group_id] = min(first_opened.get(each.group_id, now), each.opened_at)
        messages.add((each.group_id, each.route, "down"))
        if each.starts_flapping:
            messages.add((each.group_id, each.route, "flapping"))
    for group_id, route, kind in sorted(messages):
        recipients = routes.recipients(route)
        if kind == "flapping":
            # Only an outage that lasts, and is not acknowledged, escalates.
            recipients = [recipient for recipient in recipients if not recipient.delay]
        waited = now - first_opened[group_id]
        _enqueue(connection, group_id, kind, recipients, alerting, now, waited)


def close_all(
    connection: Connection,
    closings: Sequence[Closing],
    alerting: Alerting,
    now: int,
    version: int,
) -> None:
    """Closes incidents, and enqueues messages about those that recovered.

    Incidents that have been closed meanwhile do not change.
    """
    # Read them again: the caller read them in an earlier transaction.
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
    routes = routing.read(connection, alerting.channels, alerting.tracking_kinds)
    for group_id, group in groups.items():
        find = routes.recipients if recovered[group_id] else routes.tracking
        _enqueue(connection, group_id, "recovered", find(group.route), alerting, now)
        notifications.close_group_if_done(connection, group_id, now)


def _attributes(sensor: Sensor) -> Mapping[str, str]:
    return attributes(sensor.mac, sensor.name, sensor.site, sensor.labels)


def _record_disabled(
    connection: Connection, route_of: Mapping[int, str], routes: routing.Routing, now: int
) -> None:
    """Records in the ledger which channels are not notified because they are disabled.

    `route_of`: mac -> route of the new incidents.
    """
    disabled: dict[str, list[int]] = defaultdict(list)
    for mac, route in route_of.items():
        for channel in routes.disabled(route):
            disabled[channel].append(mac)
    ids = incidents.open_ids(connection, route_of) if disabled else {}
    for channel, macs in disabled.items():
        reasons = {ids[mac]: (DISABLED, None) for mac in macs}
        suppressions.record(connection, channel, "down", reasons, now)


def _unreported(
    connection: Connection, earlier: Mapping[int, Incident], groups: Mapping[int, AlertGroup]
) -> tuple[set[int], int]:
    """(macs of the open incidents that no message has reported, which may still move; number of
    the other open incidents without a site, and of those that share a group already)."""
    # A scheduler of an older version may have left an open incident in a closed group.
    earlier = {mac: row for mac, row in earlier.items() if row.group_id in groups}
    group_ids = incidents.unreported(connection, {row.group_id for row in earlier.values()})
    unreported = {mac for mac, row in earlier.items() if row.group_id in group_ids}
    cohorts = {mac: groups[row.group_id].cohort for mac, row in earlier.items()}
    without_site = sum(
        1
        for mac, cohort in cohorts.items()
        if grouping.has_no_site(cohort) and not (mac in unreported and grouping.is_alone(cohort))
    )
    return unreported, without_site


def _flapping_since(
    connection: Connection, new: Mapping[int, Opening], rule: FlappingRule, now: int
) -> dict[int, int | None]:
    """mac -> when its flapping episode started; None if it is not flapping."""
    longest = max(rule.window_of(opening.threshold) for opening in new.values())
    earlier = incidents.history(connection, new, now - longest)
    return {
        mac: flapping.flapping_since(earlier[mac], new[mac].threshold, now, rule) for mac in earlier
    }


def _move(connection: Connection, moving: Mapping[Incident, int], now: int, version: int) -> None:
    """Moves incidents that no message has reported to other groups: incident -> group id."""
    incidents.change(
        connection,
        {row.id: {"group_id": group_id, "version": version} for row, group_id in moving.items()},
    )
    for group_id in sorted({row.group_id for row in moving} - set(moving.values())):
        notifications.cancel_unfrozen(connection, group_id, "included in another message", now)
        notifications.close_group_if_done(connection, group_id, now)


def _enqueue(
    connection: Connection,
    group_id: int,
    kind: str,
    recipients: Sequence[routing.Recipient],
    alerting: Alerting,
    now: int,
    waited: int = 0,
) -> None:
    """`waited`: ms for which the first of the incidents to report has waited already."""
    for recipient in recipients:
        delay = recipient.delay if kind == "down" else 0
        notifications.enqueue(
            connection,
            group_id,
            kind,
            recipient.channel,
            now,
            wait=max(alerting.group_wait, delay) - waited,
            interval=alerting.group_interval,
            delay=delay,
        )
