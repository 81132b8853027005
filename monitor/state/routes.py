"""Changing the routes: rows of `route`. `state.routing` reads them."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from monitor.errors import Conflict
from monitor.state import horizon
from monitor.state.routing import RouteRow
from monitor.state.tables import route


def add(connection: Connection, new: RouteRow, position: int | None = None) -> None:
    """Put a route at this place (1: the first), or at the end. The caller has checked it.

    Raises Conflict, after which the transaction can only be rolled back.
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
    """Everything but name and place; False when there is no route of this name."""
    values = changed._asdict()
    written = update(route).where(route.c.name == values.pop("name")).values(**values)
    return connection.execute(written).rowcount == 1


def remove(connection: Connection, name: str) -> bool:
    """False when there is no route of this name."""
    return connection.execute(delete(route).where(route.c.name == name)).rowcount == 1


def names(connection: Connection, to_change: bool = False) -> list[str]:
    """In order; `to_change`: locked until the transaction ends."""
    if to_change:
        horizon.lock(connection)
    query = select(route.c.name).order_by(route.c.position, route.c.id)
    return list(connection.execute(query).scalars())


def arrange(connection: Connection, order: Sequence[str]) -> None:
    """Put the routes in this order. Raises ValueError unless it names each of them once."""
    if sorted(order) != sorted(names(connection, to_change=True)):
        raise ValueError("the order must list each route exactly once")
    for position, name in enumerate(order, 1):
        connection.execute(update(route).where(route.c.name == name).values(position=position))


def leading_to(connection: Connection, channel: str) -> list[str]:
    """Names of the routes that tell this channel, at once or later."""
    return leading(connection).get(channel, [])


def leading(connection: Connection) -> dict[str, list[str]]:
    """`leading_to` by channel, of those that some route tells."""
    found: dict[str, list[str]] = {}
    for row in connection.execute(select(route.c.name, route.c.channels, route.c.escalate_to)):
        for channel in {*row.channels, *row.escalate_to}:
            found.setdefault(channel, []).append(row.name)
    return found
