"""Routes: which channels receive the alerts of which sensors."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Engine

from monitor.errors import Invalid, NotFound
from monitor.incidents.matching import parse
from monitor.incidents.routing import BROWSERS
from monitor.model import DAY, SECOND
from monitor.state import audit, channels, horizon, routes
from monitor.state.database import writing
from monitor.state.routing import RouteRow

LONGEST_WAIT = 30 * DAY
"""The longest time until an escalation (ms)."""


def add(
    engine: Engine,
    actor: str,
    row: RouteRow,
    of_settings: Collection[str],
    position: int | None = None,
) -> None:
    """Adds a route at this position (1 is the first), or at the end.

    `of_settings`: names of the channels in the settings.
    """
    with writing(engine) as connection:
        check(connection, row, of_settings)
        routes.add(connection, row, position)
        audit.record(connection, actor, "route created", row.name, row._asdict())


def change(engine: Engine, actor: str, row: RouteRow, of_settings: Collection[str]) -> None:
    """Changes a route, except its name and position."""
    with writing(engine) as connection:
        check(connection, row, of_settings)
        if not routes.replace(connection, row):
            raise _unknown(row.name)
        audit.record(connection, actor, "route changed", row.name, row._asdict())


def arrange(engine: Engine, actor: str, order: Sequence[str]) -> None:
    """Puts all routes in this order."""
    with writing(engine) as connection:
        _arrange(connection, actor, order)


def move(engine: Engine, actor: str, name: str, by: int) -> int:
    """Moves a route one position up (-1) or down (1), if possible. Returns its position."""
    with writing(engine) as connection:
        order = routes.names(connection, to_change=True)
        if name not in order:
            raise _unknown(name)
        place = order.index(name)
        other = place + by
        if not 0 <= other < len(order):
            return place + 1
        order[place], order[other] = order[other], order[place]
        _arrange(connection, actor, order)
    return other + 1


def remove(engine: Engine, actor: str, name: str) -> None:
    """Removes a route; its sensors use the next route that matches."""
    with writing(engine) as connection:
        if not routes.remove(connection, name):
            raise _unknown(name)
        audit.record(connection, actor, "route removed", name)


def _arrange(connection: Connection, actor: str, order: Sequence[str]) -> None:
    try:
        routes.arrange(connection, order)
    except ValueError as error:
        raise Invalid("order", str(error)) from error
    audit.record(connection, actor, "routes reordered", "routes", {"order": list(order)})


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no route {name!r}")


def check(connection: Connection, route: RouteRow, of_settings: Collection[str]) -> None:
    """Raises Invalid unless the route is valid and its channels exist.

    Channels and routes can't change until the transaction ends. `of_settings`: names of the
    channels in the settings.
    """
    horizon.lock(connection)
    try:
        channels.check_name(route.name)
    except ValueError as error:
        raise Invalid("name", str(error)) from error
    try:
        parse(route.matchers)
    except ValueError as error:
        raise Invalid("matchers", str(error)) from error
    if not route.channels:
        raise Invalid("channels", "must include at least one channel")
    known = {BROWSERS, *of_settings, *channels.names(connection)}
    for field, names in (("channels", route.channels), ("escalate_to", route.escalate_to)):
        if unknown := [name for name in names if name not in known]:
            raise Invalid(field, f"must be channels that exist; {unknown[0][:80]!r} does not")
        if len(set(names)) < len(names):
            raise Invalid(field, "must not list a channel twice")
    if bool(route.escalate_to) != (route.escalate_after is not None):
        raise Invalid("escalate_after", "must be set together with the channels to escalate to")
    if route.escalate_after is not None and not SECOND <= route.escalate_after <= LONGEST_WAIT:
        raise Invalid("escalate_after", "must be from 1 second to 30 days")
