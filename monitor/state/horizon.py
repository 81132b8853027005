"""The horizon, sources and blind windows: rows of `service`, `source` and `blind_window`."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from monitor.clock import SENSOR_TOLERANCE
from monitor.state import tally
from monitor.state.tables import (
    blind_window,
    incident,
    notification,
    sensor,
    service,
    source,
)


class Progress(NamedTuple):
    """The progress of sweeps; times in ms. `arrival_position` is a position in the arrival log."""

    version: int
    horizon: int
    swept_at: int
    arrival_position: int | None
    reset_at: int = 0
    """When the clock was last set back, because it was ahead; 0 for never."""
    reset_from: int = 0
    """The time of that clock when it was set back: heartbeats in the store with times from
    `reset_at` up to this were received before `reset_at`."""
    behind_since: int = 0
    """Since when monitoring is behind, if a notice has reported it; else 0."""
    blind_told_until: int = 0
    """Up to when blind windows have been reported."""
    blind_told_at: int = 0
    hindrance: str = ""
    """Why schedulers could not sweep recently, as a sentence; "" if no cause is known."""


def progress(connection: Connection, *, lock: bool = False) -> Progress:
    """Reads the progress. `lock`: no other transaction can write it until this one ends."""
    query = select(*(service.c[name] for name in Progress._fields))
    return Progress(*connection.execute(query.with_for_update() if lock else query).one())


def lock(connection: Connection) -> None:
    """Waits for all transactions that have this lock or a new version, and blocks others until this
    one ends. Take it before the locks of channels, groups and messages."""
    connection.execute(select(service.c.id).with_for_update())


def record_progress(
    connection: Connection, horizon: int, swept_at: int, arrival_position: int, hindrance: str
) -> None:
    """Records the progress of a sweep, and why it could not judge up to now ("" if it could)."""
    connection.execute(
        update(service).values(
            horizon=horizon,
            swept_at=swept_at,
            arrival_position=arrival_position,
            hindrance=hindrance,
        )
    )


def record_hindrance(connection: Connection, hindrance: str) -> None:
    """Records why a scheduler can't sweep. The next successful sweep replaces it."""
    changed = service.c.hindrance != hindrance
    connection.execute(update(service).where(changed).values(hindrance=hindrance))


def record_notices(
    connection: Connection, behind_since: int, blind_told_until: int, blind_told_at: int
) -> None:
    """Records what notices have reported."""
    connection.execute(
        update(service).values(
            behind_since=behind_since,
            blind_told_until=blind_told_until,
            blind_told_at=blind_told_at,
        )
    )


def set_back(connection: Connection, now: int, version: int) -> None:
    """Limits all recorded times to `now`, because the clock was ahead.

    This concerns the progress, open incidents, messages, and since when sensors are monitored.
    """
    was = progress(connection)
    connection.execute(
        update(service).values(
            horizon=min(was.horizon, now),
            swept_at=now,
            reset_at=now,
            # Heartbeats may have been received after the last sweep.
            reset_from=max(was.horizon, was.swept_at, was.reset_from) + SENSOR_TOLERANCE,
        )
    )
    connection.execute(update(source).where(source.c.until > now).values(until=now))
    connection.execute(delete(blind_window).where(blind_window.c.start >= now))
    connection.execute(update(blind_window).where(blind_window.c.stop > now).values(stop=now))
    for column in (incident.c.last_seen, incident.c.opened_at, incident.c.flapping_since):
        ahead = (column > now) & incident.c.closed_at.is_(None)
        connection.execute(
            update(incident).where(ahead).values({column: now, incident.c.version: version})
        )
    connection.execute(
        update(sensor)
        .where(sensor.c.monitored_since > now)
        .values(monitored_since=now, version=version)
    )
    waiting = notification.c.state.in_(("pending", "claimed")) & (notification.c.created_at > now)
    connection.execute(
        update(notification)
        .where(waiting)
        .values(
            next_attempt_at=notification.c.next_attempt_at - notification.c.created_at + now,
            created_at=now,
        )
    )
    connection.execute(
        update(notification).where(notification.c.frozen_at > now).values(frozen_at=now)
    )


def forget_blind_windows(connection: Connection, before: int) -> None:
    """Deletes blind windows that stopped before a time."""
    connection.execute(delete(blind_window).where(blind_window.c.stop < before))


def sources(connection: Connection) -> dict[str, tuple[bool, int, int, bool]]:
    """id -> (open, until, stalled for, farewell)."""
    columns = (source.c.id, source.c.open, source.c.until, source.c.stalled_for, source.c.farewell)
    return {
        row[0]: (row[1], row[2], row[3], row[4]) for row in connection.execute(select(*columns))
    }


def record_sources(
    connection: Connection, changed: Mapping[str, tuple[bool, int, int, bool]]
) -> None:
    """Replaces these sources."""
    if not changed:
        return
    connection.execute(delete(source).where(source.c.id.in_(list(changed))))
    connection.execute(
        insert(source),
        [
            {"id": key, "open": row[0], "until": row[1], "stalled_for": row[2], "farewell": row[3]}
            for key, row in changed.items()
        ],
    )


def blind_windows(connection: Connection, since: int) -> list[tuple[int, int]]:
    """(start, stop) of blind windows that end after `since`, in order of their start."""
    query = select(blind_window.c.start, blind_window.c.stop).where(blind_window.c.stop > since)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(blind_window.c.start))]


def record_blind_windows(connection: Connection, windows: Iterable[tuple[int, int]]) -> None:
    """Adds windows, and merges each with those it touches: a long one grows with each sweep."""
    for start, stop in windows:
        touching = (blind_window.c.start <= stop) & (blind_window.c.stop >= start)
        found = connection.execute(
            select(blind_window.c.start, blind_window.c.stop).where(touching)
        ).all()
        connection.execute(delete(blind_window).where(touching))
        joined_start = min([start, *(row.start for row in found)])
        joined_stop = max([stop, *(row.stop for row in found)])
        if joined_start > 0:  # time before the first coverage span does not count
            longer = joined_stop - joined_start - sum(row.stop - row.start for row in found)
            tally.add(connection, "blind", {(): longer})
        connection.execute(insert(blind_window).values(start=joined_start, stop=joined_stop))
