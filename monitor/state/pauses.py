"""When sensors were paused: rows of `pause`, begun and ended with the sensor's own mark."""

from sqlalchemy import Connection, insert, or_, select, update

from monitor.state.database import database_now
from monitor.state.tables import pause


def begin(connection: Connection, mac: int) -> None:
    """A pause begins now, unless one lasts."""
    if connection.scalar(select(pause.c.id).where(pause.c.mac == mac, pause.c.stop.is_(None))):
        return
    connection.execute(insert(pause).values(mac=mac, start=database_now(connection)))


def end(connection: Connection, mac: int) -> None:
    """The pause that lasts, if any, ends now."""
    lasting = update(pause).where(pause.c.mac == mac, pause.c.stop.is_(None))
    connection.execute(lasting.values(stop=database_now(connection)))


def spans(connection: Connection, mac: int, since: int) -> list[tuple[int, int | None]]:
    """(start, stop) of pauses that end after `since`, in order; None: it lasts."""
    query = select(pause.c.start, pause.c.stop).where(
        pause.c.mac == mac, or_(pause.c.stop.is_(None), pause.c.stop > since)
    )
    return [(row[0], row[1]) for row in connection.execute(query.order_by(pause.c.start))]
