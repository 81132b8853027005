"""The caches of public pages and badges: their load does not grow with the number of viewers."""

from collections.abc import Callable
from typing import NamedTuple

from monitor.analysis.memory import Memory
from monitor.clock import Clock
from monitor.model import SECOND
from monitor.state.public_pages import PublicPage
from monitor.web.anonymous import Answers, Gate
from monitor.web.grid.fleet import Fleet, FleetChanges

MAX_AGE = 10
"""How long browsers may reuse a public page (s)."""

_FLEET_LIFETIME = 2 * SECOND
_LINKS_LIFETIME = SECOND // 10
_BADGE_LIFETIME = 10 * SECOND
_MOST_PAGES = 100
_MOST_BADGES = 10_000
_PATIENCE = 2.0  # seconds


class BadgeSubject(NamedTuple):
    """What a badge shows: the status or an uptime of one sensor, or the status of several."""

    sensor: str | None = None
    """The MAC address of one sensor, as text."""
    site: str | None = None
    """Without a sensor: all sensors at this site, or all sensors if None."""
    show: str = "status"
    """`status`, or the span of an uptime: `24h`, `7d`, `30d`."""


class BadgeText(NamedTuple):
    """The text of a badge, and the colour of its right half."""

    label: str
    message: str
    colour: str


class RecentFleet:
    """The whole fleet, at most two seconds old."""

    def __init__(self, open_fleet: Callable[[], Fleet], clock: Clock) -> None:
        self._open_fleet = open_fleet
        self._kept = Memory[None, FleetChanges](clock, _FLEET_LIFETIME, 1)

    def all(self) -> FleetChanges:
        """All sensors. Raises FleetUnavailable, StoreError, TimeoutError."""
        return self._kept.shared(None, lambda: self._open_fleet().changes(None), _PATIENCE)

    def one(self, mac: int) -> FleetChanges:
        """One sensor, or none if it is not known. Raises the same."""
        return self._open_fleet().one(mac)


class PublicCaches:
    """The caches of one worker process. Threads share them."""

    def __init__(self, open_fleet: Callable[[], Fleet], clock: Clock) -> None:
        gate = Gate()
        self.fleet = RecentFleet(open_fleet, clock)
        self.pages = Answers[None, list[PublicPage]](gate, clock, _LINKS_LIFETIME, 1, SECOND)
        """All public pages: a link that is not valid then needs no query of its own."""
        self.texts = Answers[tuple[str, str], str](gate, clock, MAX_AGE * SECOND, _MOST_PAGES)
        """(template, page) -> HTML."""
        self.badges = Answers[BadgeSubject, BadgeText](gate, clock, _BADGE_LIFETIME, _MOST_BADGES)
