"""Acknowledges incidents: this stops reminders and escalation. Recoveries are still sent."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select

from monitor.incidents import machine
from monitor.incidents.machine import Event, IllegalMove, IncidentState
from monitor.state import audit, incidents, sensors
from monitor.state.database import in_chunks, writing
from monitor.state.tables import incident


class Acknowledged(NamedTuple):
    """The outcome for each incident; each number is in one of these lists."""

    done: list[int]
    earlier: list[int]
    """Already acknowledged: not changed."""
    closed: list[int]
    """Already closed: not changed."""
    unknown: list[int]


def acknowledge(
    engine: Engine, actor: str, ids: Collection[int], now: int, by: str | None = None
) -> Acknowledged:
    """Acknowledges the open incidents among these. Calling it again changes nothing.

    `by`: who acknowledges, if not the `actor`.
    """
    with writing(engine) as connection:
        outcome = _acknowledge(connection, ids, (by or actor)[:200], now)
        if outcome.done:
            subject = f"{len(outcome.done)} incidents" if len(outcome.done) > 1 else "an incident"
            audit.record(
                connection, actor, "incidents acknowledged", subject, {"numbers": outcome.done}
            )
    return outcome


def _acknowledge(connection: Connection, ids: Collection[int], by: str, now: int) -> Acknowledged:
    # Locks the version before the groups, in the order of the sweep: in another order, the two
    # could deadlock. With this lock, no other transaction changes an incident.
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
    values = {"acknowledged_at": now, "acknowledged_by": by, "version": version}
    incidents.change(connection, dict.fromkeys(outcome.done, values))
    return outcome


def _found(connection: Connection, ids: list[int]) -> dict[int, tuple[int, IncidentState]]:
    """incident id -> (group id, state)."""
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
