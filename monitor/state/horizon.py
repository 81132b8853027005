"""How far was judged, by whose word, and what was blind: service, source, blind_window rows."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from monitor.clock import SENSOR_TOLERANCE
from monitor.state import tally
from monitor.state.tables import blind_window, incident, notification, service, source


class Progress(NamedTuple):
    """The service's row: moments in ms, `arrival_position` as the store counts."""

    version: int
    horizon: int
    swept_at: int
    arrival_position: int | None
    reset_at: int = 0
    """When the clock was last found to have been ahead, and set back; 0: never."""
    reset_from: int = 0
    """Up to when it had gone by then: what the store holds from there back to `reset_at` was
    received before `reset_at`."""
    behind_since: int = 0
    """While judging is behind: since when; 0: it is not."""
    blind_told_until: int = 0
    """Blindness up to here was told."""
    blind_told_at: int = 0
    hindrance: str = ""
    """Why a scheduler could not judge lately, as a sentence; "": none is known."""


def progress(connection: Connection, *, lock: bool = False) -> Progress:
    """How far the sweeps have come; with `lock` no one else may write it until the end."""
    query = select(*(service.c[name] for name in Progress._fields))
    return Progress(*connection.execute(query.with_for_update() if lock else query).one())


def lock(connection: Connection) -> None:
    """Wait for every other transaction that took this lock or a version, and keep others from
    both until this one ends. It comes before the locks of channels, groups and messages."""
    connection.execute(select(service.c.id).with_for_update())


def record_progress(
    connection: Connection, horizon: int, swept_at: int, arrival_position: int, hindrance: str
) -> None:
    """Write where a sweep ended, and what kept it from judging up to now ("": nothing)."""
    connection.execute(
        update(service).values(
            horizon=horizon,
            swept_at=swept_at,
            arrival_position=arrival_position,
            hindrance=hindrance,
        )
    )


def record_hindrance(connection: Connection, hindrance: str) -> None:
    """Write why a scheduler can't sweep; the next sweep that succeeds replaces it."""
    changed = service.c.hindrance != hindrance
    connection.execute(update(service).where(changed).values(hindrance=hindrance))


def record_told(
    connection: Connection, behind_since: int, blind_told_until: int, blind_told_at: int
) -> None:
    """Write which blind windows were reported."""
    connection.execute(
        update(service).values(
            behind_since=behind_since,
            blind_told_until=blind_told_until,
            blind_told_at=blind_told_at,
        )
    )


def set_back(connection: Connection, now: int, version: int) -> None:
    """The clock was ahead: let nothing that was recorded by it lie after `now`.

    Whoever was last seen, judged, told or to be told after `now` was so at `now`.
    """
    was = progress(connection)
    connection.execute(
        update(service).values(
            horizon=min(was.horizon, now),
            swept_at=now,
            reset_at=now,
            # Heartbeats may have come in after the last sweep.
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
    """Drop what lies wholly before a moment."""
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
    """Replace the rows of the sources named."""
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
    """Add windows, joining each with those it touches (a long one grows sweep by sweep)."""
    for start, stop in windows:
        touching = (blind_window.c.start <= stop) & (blind_window.c.stop >= start)
        found = connection.execute(
            select(blind_window.c.start, blind_window.c.stop).where(touching)
        ).all()
        connection.execute(delete(blind_window).where(touching))
        joined_start = min([start, *(row.start for row in found)])
        joined_stop = max([stop, *(row.stop for row in found)])
        if joined_start > 0:  # what was before the first pulse was no interruption
            longer = joined_stop - joined_start - sum(row.stop - row.start for row in found)
            tally.add(connection, "blind", {(): longer})
        connection.execute(insert(blind_window).values(start=joined_start, stop=joined_stop))
