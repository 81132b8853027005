"""Somebody says: I know of it. Reminders and escalations end; the recovery is still told."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, select

from monitor.incidents import machine
from monitor.incidents.machine import Event, IllegalMove, IncidentState
from monitor.state import incidents, sensors
from monitor.state.database import in_chunks
from monitor.state.tables import incident


class Acknowledged(NamedTuple):
    """What became of the incidents named; numbers of rows, each in one of these."""

    done: list[int]
    earlier: list[int]
    """Acknowledged already: nothing changed."""
    closed: list[int]
    """Over already: nothing changed."""
    unknown: list[int]


def acknowledge(connection: Connection, ids: Collection[int], by: str, now: int) -> Acknowledged:
    """Acknowledge those of these incidents that are open; harmless to repeat.

    `by` is who did it, in words.
    """
    # The version before the groups, as the sweep does: in another order the two could wait for
    # each other. While it is held nobody else changes an incident.
    version = sensors.next_version(connection)
    found = _found(connection, sorted(set(ids)))
    incidents.lock_groups(connection, {group_id for group_id, _ in found.values()})
    outcome = Acknowledged([], [], [], [number for number in ids if number not in found])
    for number, (_, state) in found.items():
        try:
            machine.move(state, Event.ACKNOWLEDGE)
        except IllegalMove:
            unchanged = outcome.closed if state is IncidentState.CLOSED else outcome.earlier
            unchanged.append(number)
        else:
            outcome.done.append(number)
    values = {"acknowledged_at": now, "acknowledged_by": by[:200], "version": version}
    incidents.change(connection, dict.fromkeys(outcome.done, values))
    return outcome


def _found(connection: Connection, ids: list[int]) -> dict[int, tuple[int, IncidentState]]:
    """id -> (group, state)."""
    columns = (
        incident.c.id,
        incident.c.group_id,
        incident.c.acknowledged_at,
        incident.c.closed_at,
    )
    found: dict[int, tuple[int, IncidentState]] = {}
    for chunk in in_chunks(ids):
        query = select(*columns).where(incident.c.id.in_(chunk))
        for number, group_id, acknowledged_at, closed_at in connection.execute(query):
            found[number] = group_id, machine.state_of(acknowledged_at, closed_at)
    return found
