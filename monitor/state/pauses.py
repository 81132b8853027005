"""When sensors were paused: rows of `pause`, which follow the sensor's flag."""

from collections.abc import Iterable

from sqlalchemy import Connection, insert, or_, select, update

from monitor.state.database import database_now, in_chunks
from monitor.state.tables import pause, sensor


def begin(connection: Connection, macs: Iterable[int]) -> None:
    """Starts a pause now for each of these registered sensors that is not paused."""
    lasting = select(pause.c.id).where(pause.c.mac == sensor.c.mac, pause.c.stop.is_(None))
    for some in in_chunks(macs):
        new = select(sensor.c.mac, database_now(connection)).where(
            sensor.c.mac.in_(some), ~lasting.exists()
        )
        connection.execute(insert(pause).from_select(["mac", "start"], new))


def end(connection: Connection, macs: Iterable[int]) -> None:
    """Ends the current pauses of these sensors, if any."""
    for some in in_chunks(macs):
        lasting = update(pause).where(pause.c.mac.in_(some), pause.c.stop.is_(None))
        connection.execute(lasting.values(stop=database_now(connection)))


def spans(connection: Connection, mac: int, since: int) -> list[tuple[int, int | None]]:
    """(start, stop) of pauses that end after `since`, in order. The stop of a current one is
    None."""
    query = select(pause.c.start, pause.c.stop).where(
        pause.c.mac == mac, or_(pause.c.stop.is_(None), pause.c.stop > since)
    )
    return [(row[0], row[1]) for row in connection.execute(query.order_by(pause.c.start))]
