"""Which channels receive an alert: those of the first route that matches, or the default ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from monitor.incidents.matching import Matchers, parse
from monitor.state import routing as rows

BROWSERS = "browsers"
"""In a route: all subscribed browsers."""

_BROWSER_KIND = "webpush"


class Recipient(NamedTuple):
    """A channel, and for how long (ms) an incident must be open before it is notified."""

    channel: str
    delay: int


class _Route(NamedTuple):
    name: str
    matchers: Matchers
    recipients: Sequence[Recipient]


class Routing:
    """The routes and channels at the time they were read."""

    def __init__(
        self,
        routes: Sequence[rows.RouteRow],
        channels: Sequence[rows.ChannelRow],
        of_settings: Sequence[str],
        tracking_kinds: Collection[str],
        disabled: Sequence[rows.ChannelRow] = (),
    ) -> None:
        """`of_settings`: channels that the settings enable. `tracking_kinds`: kinds of channels
        that track open alerts, and so receive every closing."""
        known = {*of_settings, *(row.name for row in channels)}
        browsers = [row.name for row in channels if row.kind == _BROWSER_KIND]
        default = [*of_settings, *(row.name for row in channels if row.is_default)]
        self._default = [Recipient(name, 0) for name in default]
        self._tracking = {row.name for row in channels if row.kind in tracking_kinds}

        def recipients(row: rows.RouteRow) -> list[Recipient]:
            delays = dict.fromkeys(_expanded(row.channels, known, browsers), 0)
            if row.escalate_after is not None:
                for name in _expanded(row.escalate_to, known, browsers):
                    delays.setdefault(name, row.escalate_after)
            # If all channels of a route are gone, the default channels get its alerts.
            has_immediate = 0 in delays.values()
            return [Recipient(*item) for item in delays.items()] if has_immediate else self._default

        self._routes = [_Route(row.name, parse(row.matchers), recipients(row)) for row in routes]
        self._by_name = {route.name: route.recipients for route in self._routes}
        self._default_disabled = [row.name for row in disabled if row.is_default]
        names = {row.name for row in disabled}
        self._disabled = {
            row.name: [name for name in (*row.channels, *row.escalate_to) if name in names]
            for row in routes
        }

    def route_of(self, attributes: Mapping[str, str]) -> str:
        """The name of the first route that matches; "" for the default route."""
        return next((r.name for r in self._routes if r.matchers.match(attributes)), "")

    def recipients(self, route: str) -> Sequence[Recipient]:
        """The recipients of a route; those of the default route if it has been deleted."""
        return self._by_name.get(route, self._default)

    def disabled(self, route: str) -> Sequence[str]:
        """The channels of a route that are not notified because they are disabled."""
        return self._disabled.get(route, self._default_disabled)

    def tracking(self, route: str) -> list[Recipient]:
        """The recipients that receive every closing."""
        return [each for each in self.recipients(route) if each.channel in self._tracking]


def read(
    connection: Connection, of_settings: Sequence[str], tracking_kinds: Collection[str]
) -> Routing:
    """Reads the current routes and channels. Raises StateUnavailable."""
    return Routing(
        rows.routes(connection),
        rows.channels(connection),
        of_settings,
        tracking_kinds,
        rows.disabled_channels(connection),
    )


def _expanded(names: Sequence[str], known: Collection[str], browsers: Sequence[str]) -> list[str]:
    expanded: list[str] = []
    for name in names:
        expanded += browsers if name == BROWSERS else [name] if name in known else []
    return expanded
