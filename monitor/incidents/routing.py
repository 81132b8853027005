"""Which channels receive an incident: those of the first route that matches its sensor, or all."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from monitor.incidents.matching import Matchers, parse
from monitor.state import routing as rows

BROWSERS = "browsers"
"""In a route: all browsers that subscribed."""

_BROWSER_KIND = "webpush"


class Recipient(NamedTuple):
    """A channel, and how long (ms) an incident must be open before it is told."""

    channel: str
    delay: int


class _Route(NamedTuple):
    name: str
    matchers: Matchers
    recipients: Sequence[Recipient]


class Routing:
    """The routes and channels as they were when read."""

    def __init__(
        self,
        routes: Sequence[rows.RouteRow],
        channels: Sequence[rows.ChannelRow],
        of_settings: Sequence[str],
        tracking_kinds: Collection[str],
        off: Sequence[rows.ChannelRow] = (),
    ) -> None:
        """`of_settings`: channels that the settings switch on. `tracking_kinds`: kinds of channels
        that keep a state of their own and receive every closing. `off`: channels that are
        switched off."""
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
            told_at_once = 0 in delays.values()
            return [Recipient(*item) for item in delays.items()] if told_at_once else self._default

        self._routes = [_Route(row.name, parse(row.matchers), recipients(row)) for row in routes]
        self._by_name = {route.name: route.recipients for route in self._routes}
        self._default_off = [row.name for row in off if row.is_default]
        names = {row.name for row in off}
        self._off = {
            row.name: [name for name in (*row.channels, *row.escalate_to) if name in names]
            for row in routes
        }

    def route_of(self, attributes: Mapping[str, str]) -> str:
        """The name of the first route that matches; empty for the default one."""
        return next((r.name for r in self._routes if r.matchers.match(attributes)), "")

    def recipients(self, route: str) -> Sequence[Recipient]:
        """Who is told; of a route that is gone meanwhile, those of the default one."""
        return self._by_name.get(route, self._default)

    def disabled(self, route: str) -> Sequence[str]:
        """Those who would be notified if they were not switched off."""
        return self._off.get(route, self._default_off)

    def tracking(self, route: str) -> list[Recipient]:
        """The recipients that receive every closing."""
        return [who for who in self.recipients(route) if who.channel in self._tracking]


def read(
    connection: Connection, of_settings: Sequence[str], tracking_kinds: Collection[str]
) -> Routing:
    """The routing in force."""
    return Routing(
        rows.routes(connection),
        rows.channels(connection),
        of_settings,
        tracking_kinds,
        rows.switched_off(connection),
    )


def _expanded(names: Sequence[str], known: Collection[str], browsers: Sequence[str]) -> list[str]:
    expanded: list[str] = []
    for name in names:
        expanded += browsers if name == BROWSERS else [name] if name in known else []
    return expanded
