"""Refused heartbeats: the last of each sensor, and how many there were in the last minutes.

Workers write both some seconds later and in batches, so that refused requests cost little.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from monitor.model import MINUTE
from monitor.refusal import OURS
from monitor.state.database import in_chunks, insert_unless_there
from monitor.state.tables import refusal, refused_count

_COUNTS_KEPT = 5 * MINUTE


class Refused(NamedTuple):
    """The last refused heartbeat of a sensor."""

    at: int
    """When it was refused (ms)."""
    reason: str
    """A key of `refusal.REASONS`."""


def record(
    connection: Connection, last: Mapping[int, Refused], counts: Mapping[str, int], now: int
) -> None:
    """Records the last refused heartbeats of sensors, by MAC address, and the number of heartbeats
    refused since the last call of this worker, by reason."""
    if last:
        statement = insert_unless_there(connection, refusal)
        new = {"at": statement.excluded.at, "reason": statement.excluded.reason}
        connection.execute(
            statement.on_conflict_do_update(index_elements=[refusal.c.mac], set_=new),
            # Sorted, so that two workers never wait for each other's rows.
            [
                {"mac": mac, "at": at, "reason": reason}
                for mac, (at, reason) in sorted(last.items())
            ],
        )
    if counts:
        rows = [{"at": now, "reason": name, "number": n} for name, n in counts.items()]
        connection.execute(insert(refused_count), rows)
        connection.execute(delete(refused_count).where(refused_count.c.at < now - _COUNTS_KEPT))


def last(connection: Connection, mac: int) -> Refused | None:
    """The last refused heartbeat of a sensor; None if none is known."""
    query = select(refusal.c.at, refusal.c.reason).where(refusal.c.mac == mac)
    row = connection.execute(query).one_or_none()
    return Refused(*row) if row else None


def by_our_fault(
    connection: Connection, macs: Collection[int], since: int, until: int
) -> dict[int, int]:
    """mac -> when its last heartbeat was refused, if that was in [since, until] (ms) and for a
    reason of this service or its settings."""
    recent = (
        refusal.c.at.between(since, until),
        refusal.c.reason.in_(OURS),
    )
    if connection.execute(select(refusal.c.mac).where(*recent).limit(1)).first() is None:
        return {}
    found: dict[int, int] = {}
    for chunk in in_chunks(macs):
        query = select(refusal.c.mac, refusal.c.at).where(refusal.c.mac.in_(chunk), *recent)
        found.update({row.mac: row.at for row in connection.execute(query)})
    return found


def recent_counts(connection: Connection, now: int) -> dict[str, int]:
    """Reason -> number of heartbeats refused by our fault in the last minute."""
    query = (
        select(refused_count.c.reason, func.sum(refused_count.c.number))
        .where(refused_count.c.at > now - MINUTE, refused_count.c.reason.in_(OURS))
        .group_by(refused_count.c.reason)
    )
    return {reason: int(number) for reason, number in connection.execute(query)}


def forget(connection: Connection, mac: int) -> None:
    """Deletes what is known of a sensor."""
    connection.execute(delete(refusal).where(refusal.c.mac == mac))
