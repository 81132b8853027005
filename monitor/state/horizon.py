"""How far was judged, by whose word, and what was blind: service, source, blind_window rows."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from monitor.state.tables import blind_window, service, source


class Progress(NamedTuple):
    """The service's row: moments in ms, `arrival_position` as the store counts."""

    version: int
    horizon: int
    swept_at: int
    arrival_position: int | None


def progress(connection: Connection) -> Progress:
    """How far the sweeps have come."""
    columns = (
        service.c.version,
        service.c.horizon,
        service.c.swept_at,
        service.c.arrival_position,
    )
    return Progress(*connection.execute(select(*columns)).one())


def record_progress(
    connection: Connection, horizon: int, swept_at: int, arrival_position: int
) -> None:
    """Write where a sweep ended."""
    connection.execute(
        update(service).values(
            horizon=horizon, swept_at=swept_at, arrival_position=arrival_position
        )
    )


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
        connection.execute(insert(blind_window).values(start=joined_start, stop=joined_stop))
