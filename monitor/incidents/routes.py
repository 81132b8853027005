"""Routes, as they may be kept: looked at before they are written."""

from collections.abc import Collection

from sqlalchemy import Connection

from monitor.errors import Invalid
from monitor.incidents.matching import parse
from monitor.incidents.routing import BROWSERS
from monitor.model import DAY, SECOND
from monitor.state import channels, horizon
from monitor.state.routing import RouteRow

LONGEST_WAIT = 30 * DAY
"""An escalation can't be told later (ms)."""


def check(connection: Connection, route: RouteRow, of_settings: Collection[str]) -> None:
    """Whether it leads somewhere; channels and routes stay as they are until the transaction
    ends. Raises Invalid.

    `of_settings`: names of the channels that the settings switch on.
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
        raise Invalid("channels", "a route needs at least one channel")
    known = {BROWSERS, *of_settings, *channels.names(connection)}
    for field, names in (("channels", route.channels), ("escalate_to", route.escalate_to)):
        if unknown := [name for name in names if name not in known]:
            raise Invalid(field, f"there is no channel {unknown[0][:80]!r}")
        if len(set(names)) < len(names):
            raise Invalid(field, "lists a channel twice")
    if bool(route.escalate_to) != (route.escalate_after is not None):
        raise Invalid("escalate_after", "escalate_to and escalate_after must be set together")
    if route.escalate_after is not None and not SECOND <= route.escalate_after <= LONGEST_WAIT:
        raise Invalid("escalate_after", "must be from 1 second to 30 days")
