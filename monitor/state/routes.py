"""Changes of routes: rows of `route`. `state.routing` reads them for alerts."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from monitor.errors import Conflict
from monitor.state import horizon
from monitor.state.routing import RouteRow
from monitor.state.tables import route


def add(connection: Connection, new: RouteRow, position: int | None = None) -> None:
    """Inserts a checked route at this position (1 for the first), or at the end.

    Raises Conflict for an existing name; then the transaction must be rolled back.
    """
    order = names(connection)
    try:
        connection.execute(insert(route).values(position=len(order) + 1, **new._asdict()))
    except IntegrityError as error:
        raise Conflict(f"there is already a route named {new.name!r}", "name") from error
    if position is not None:
        order.insert(position - 1, new.name)
        arrange(connection, order)


def replace(connection: Connection, changed: RouteRow) -> bool:
    """Changes all but name and position; False if there is no route with this name."""
    values = changed._asdict()
    written = update(route).where(route.c.name == values.pop("name")).values(**values)
    return connection.execute(written).rowcount == 1


def remove(connection: Connection, name: str) -> bool:
    """Deletes a route; False if there is none with this name."""
    return connection.execute(delete(route).where(route.c.name == name)).rowcount == 1


def names(connection: Connection, to_change: bool = False) -> list[str]:
    """The names in order. `to_change`: locks the routes until the transaction ends."""
    if to_change:
        horizon.lock(connection)
    query = select(route.c.name).order_by(route.c.position, route.c.id)
    return list(connection.execute(query).scalars())


def arrange(connection: Connection, order: Sequence[str]) -> None:
    """Reorders the routes. Raises ValueError if `order` does not have each name once."""
    if sorted(order) != sorted(names(connection, to_change=True)):
        raise ValueError("the order must list each route exactly once")
    for position, name in enumerate(order, 1):
        connection.execute(update(route).where(route.c.name == name).values(position=position))


def leading_to(connection: Connection, channel: str) -> list[str]:
    """The names of the routes that notify this channel, at once or by escalation."""
    return leading(connection).get(channel, [])


def leading(connection: Connection) -> dict[str, list[str]]:
    """Channel -> names of the routes that notify it, without channels that have none."""
    found: dict[str, list[str]] = {}
    for row in connection.execute(select(route.c.name, route.c.channels, route.c.escalate_to)):
        for channel in {*row.channels, *row.escalate_to}:
            found.setdefault(channel, []).append(row.name)
    return found
