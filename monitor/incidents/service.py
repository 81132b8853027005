"""Incidents and the messages they cause, written in the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from monitor.incidents import grouping, machine
from monitor.incidents.machine import Event
from monitor.state import incidents, notifications
from monitor.state.incidents import Incident


@dataclass(frozen=True, slots=True)
class Alerting:
    """How messages are caused: to which channels, and how long they gather (ms)."""

    channels: tuple[str, ...]
    group_wait: int
    group_interval: int


class Opening(NamedTuple):
    """A silence that became an outage."""

    mac: int
    site: str | None
    last_seen: int
    threshold: int
    proven: bool


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
) -> None:
    """Open one incident for each silence and owe its group a message."""
    earlier = incidents.open_incidents(connection)
    openings = [opening for opening in openings if opening.mac not in earlier]
    if not openings:
        return
    alone, together = _strays(connection, earlier.values())
    cohorts = grouping.assign(
        {opening.mac: opening.site for opening in openings}, alone.keys(), together
    )
    groups = incidents.open_groups(connection, set(cohorts.values()))
    for cohort in sorted(set(cohorts.values()) - groups.keys()):
        groups[cohort] = incidents.open_group(connection, cohort, now)
    incidents.add(
        connection,
        [
            {
                "mac": opening.mac,
                "last_seen": opening.last_seen,
                "threshold": opening.threshold,
                "proven": opening.proven,
                "opened_at": now,
                "group_id": groups[cohorts[opening.mac]],
                "version": version,
            }
            for opening in openings
        ],
    )
    _join(connection, [alone[mac] for mac in alone.keys() & cohorts.keys()], groups, now, version)
    for group_id in sorted({groups[cohorts[opening.mac]] for opening in openings}):
        _owe(connection, group_id, "down", alerting, now)


def close_all(
    connection: Connection,
    closings: Sequence[Closing],
    alerting: Alerting,
    now: int,
    version: int,
) -> None:
    """Close incidents; for those that recovered, owe their groups a message.

    Raises IllegalMove when one is closed already.
    """
    affected: dict[int, bool] = defaultdict(bool)
    for closing in closings:
        affected[closing.incident.group_id] |= closing.event is Event.RECOVER
    incidents.lock_groups(connection, affected)
    for closing in closings:
        row = closing.incident
        machine.move(machine.state_of(row.acknowledged_at, row.closed_at), closing.event)
        incidents.change(
            connection,
            [row.id],
            closed_at=now,
            closed_reason=closing.event.value,
            recovered_at=closing.recovered_at,
            version=version,
        )
    for group_id, recovered in affected.items():
        if recovered:
            _owe(connection, group_id, "recovered", alerting, now)
        notifications.settle(connection, group_id, now)


def _strays(
    connection: Connection, earlier: Collection[Incident]
) -> tuple[dict[int, Incident], int]:
    """Open incidents without a site: those in an untold group of their own, and how many else."""
    cohorts = incidents.cohorts_of(connection, {row.group_id for row in earlier})
    strays = [row for row in earlier if grouping.site_of(cohorts[row.group_id]) is None]
    single = [row for row in strays if cohorts[row.group_id] != grouping.NO_SITE]
    incidents.lock_groups(connection, {row.group_id for row in single})
    alone = {row.mac: row for row in single if not notifications.frozen(connection, row.group_id)}
    return alone, len(strays) - len(alone)


def _join(
    connection: Connection,
    moving: Sequence[Incident],
    groups: dict[str, int],
    now: int,
    version: int,
) -> None:
    """Move single incidents that nobody was told of into the group that tells of all."""
    for row in moving:
        notifications.cancel_unfrozen(connection, row.group_id, "told together with others", now)
        incidents.change(connection, [row.id], group_id=groups[grouping.NO_SITE], version=version)
        incidents.close_group(connection, row.group_id, now)


def _owe(connection: Connection, group_id: int, kind: str, alerting: Alerting, now: int) -> None:
    notifications.enqueue(
        connection,
        group_id,
        kind,
        alerting.channels,
        now,
        group_wait=alerting.group_wait,
        group_interval=alerting.group_interval,
    )
