"""When sensors were paused: rows of `pause`, started and ended together with the sensor's flag."""

from collections.abc import Iterable

from sqlalchemy import Connection, insert, or_, select, update

from monitor.state.database import database_now, in_chunks
from monitor.state.tables import pause, sensor


def begin(connection: Connection, macs: Iterable[int]) -> None:
    """A pause of each of these registered sensors begins now, unless one lasts."""
    lasting = select(pause.c.id).where(pause.c.mac == sensor.c.mac, pause.c.stop.is_(None))
    for some in in_chunks(macs):
        new = select(sensor.c.mac, database_now(connection)).where(
            sensor.c.mac.in_(some), ~lasting.exists()
        )
        connection.execute(insert(pause).from_select(["mac", "start"], new))


def end(connection: Connection, macs: Iterable[int]) -> None:
    """The pauses of these that last, if any, end now."""
    for some in in_chunks(macs):
        lasting = update(pause).where(pause.c.mac.in_(some), pause.c.stop.is_(None))
        connection.execute(lasting.values(stop=database_now(connection)))


def spans(connection: Connection, mac: int, since: int) -> list[tuple[int, int | None]]:
    """(start, stop) of pauses that end after `since`, in order; None: it lasts."""
    query = select(pause.c.start, pause.c.stop).where(
        pause.c.mac == mac, or_(pause.c.stop.is_(None), pause.c.stop > since)
    )
    return [(row[0], row[1]) for row in connection.execute(query.order_by(pause.c.start))]
