"""Status pages for everybody who has their link: read-only, and nothing in them that is private."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app
from sqlalchemy import Engine

from monitor.analysis.memory import Memory
from monitor.clock import Clock
from monitor.model import SECOND, format_mac
from monitor.staleness.rules import SensorStatus
from monitor.state import public_pages
from monitor.state.database import reading
from monitor.state.public_pages import PublicPage
from monitor.web.anonymous import Answers, Gate
from monitor.web.auth.access import public
from monitor.web.errors import RequestRefused
from monitor.web.grid import cells
from monitor.web.grid.fleet import Fleet, FleetChanges, SensorEntry
from monitor.web.grid.search import natural

MOST_NAMED = 500
"""Sensors that a page names; the others are a number."""

_GLANCE_LIFETIME = 2 * SECOND
_MAX_AGE = 10
_KEPT = 100
_LINKS_LIFETIME = SECOND // 10
_PATIENCE = 2.0  # seconds

_RANK = {status: rank for rank, status in enumerate(cells.WORST_FIRST)}


class Glance:
    """The whole fleet, at most two seconds old: a crowd that looks costs no more than one."""

    def __init__(self, open_fleet: Callable[[], Fleet], clock: Clock) -> None:
        self._open_fleet = open_fleet
        self._kept = Memory[None, FleetChanges](clock, _GLANCE_LIFETIME, 1)

    def __call__(self) -> FleetChanges:
        """Raises FleetUnavailable, StoreError, TimeoutError."""
        return self._kept.shared(None, lambda: self._open_fleet().changes(None), _PATIENCE)

    def one(self, mac: int) -> FleetChanges:
        """This sensor alone, or none if it is not known. Raises the same."""
        return self._open_fleet().one(mac)


class Site(NamedTuple):
    """How many sensors of a site have each status, in the order of WORST_FIRST."""

    name: str
    """Empty: of no site."""
    counts: list[int]


class PublicSensor(NamedTuple):
    """One sensor as everybody may see it."""

    name: str
    site: str
    status: str
    ago: str


class Board(NamedTuple):
    """What a public page shows."""

    title: str
    summary: str
    worst: str
    """The status that the summary is about; empty if it is unknown."""
    problem: str | None
    """Why this can't be taken for the present."""
    as_of: int
    sites: list[Site]
    sensors: list[PublicSensor]
    """Those that are not up first; none where the page only counts."""
    more: int
    """How many are not named for want of room."""


def board(page: PublicPage, changes: FleetChanges) -> Board:
    """A page's part of the fleet."""
    wanted = None if page.sites is None else frozenset(page.sites)
    entries = [entry for entry in changes.entries if wanted is None or entry.site in wanted]
    problem = cells.problem(changes)
    counts = Counter(entry.status for entry in entries)
    worst = next((status for status in cells.WORST_FIRST if counts[status]), None)
    named = nsmallest(MOST_NAMED, entries, key=_order) if page.names else []
    return Board(
        title=page.title,
        summary=_NOT_KNOWN if problem else _summary(counts),
        worst="" if problem or worst is None else worst.value,
        problem=problem,
        as_of=changes.stale_since or changes.now,
        sites=_by_site(entries),
        sensors=[_sensor(entry, changes.now) for entry in named],
        more=len(entries) - len(named) if page.names else 0,
    )


def blueprint(engine: Engine, glance: Glance, gate: Gate, clock: Clock) -> Blueprint:
    """`GET /public/<key>` and, what keeps it fresh, `/public/<key>/now`."""
    public_views = Blueprint("public", __name__)
    links = Answers[None, list[PublicPage]](gate, clock, _LINKS_LIFETIME, 1, SECOND)
    texts = Answers[tuple[str, str], str](gate, clock, _MAX_AGE * SECOND, _KEPT)

    def listed() -> list[PublicPage]:
        with reading(engine) as connection:
            return public_pages.listed(connection)

    def made(page: PublicPage, template: str) -> str:
        shown = board(page, glance())
        return rendered(template, board=shown, statuses=cells.WORST_FIRST, key=page.key)

    def answer(key: str, template: str) -> Response:
        # All links at once: one that leads nowhere then costs no question of its own.
        page = public_pages.find(links.get(None, listed), key)
        if page is None:
            raise RequestRefused(404, "This page doesn't exist or its link was replaced.")
        text = texts.get((template, repr(page)), lambda: made(page, template))
        response = Response(text, content_type="text/html; charset=utf-8")
        response.cache_control.max_age = _MAX_AGE
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @public_views.get("/public/<key>")
    @public
    def page(key: str) -> Response:
        return answer(key, "public/page.html")

    @public_views.get("/public/<key>/now")
    @public
    def now(key: str) -> Response:
        return answer(key, "public/board.html")

    return public_views


def rendered(template: str, **values: Any) -> str:
    """Without a look at who asks, as flask's own has it: everybody gets the same."""
    return current_app.jinja_env.get_template(template).render(**values)


def public_name(mac: int, name: str | None) -> str:
    """The sensor's name; without one the end of its address, which does not tell the maker."""
    return name or f"…{format_mac(mac)[9:]}"


_NOT_KNOWN = "The current status is not known"


def _summary(counts: Counter[SensorStatus]) -> str:
    total, up = counts.total(), counts[SensorStatus.UP]
    if total == 0:
        return "No sensors yet"
    if counts[SensorStatus.DOWN]:
        return f"{counts[SensorStatus.DOWN]} of {_sensors(total)} down"
    if counts[SensorStatus.UNKNOWN]:
        return f"{counts[SensorStatus.UNKNOWN]} of {_sensors(total)} unknown"
    if up == total:
        return "All sensors are up" if total > 1 else "The sensor is up"
    return f"{up} of {_sensors(total)} up, none down"


def _sensors(number: int) -> str:
    return "1 sensor" if number == 1 else f"{number} sensors"


def _by_site(entries: Sequence[SensorEntry]) -> list[Site]:
    counts: dict[str, Counter[SensorStatus]] = defaultdict(Counter)
    for entry in entries:
        counts[entry.site or ""][entry.status] += 1
    names = sorted(counts, key=lambda name: (not name, natural(name)))
    return [Site(name, [counts[name][status] for status in cells.WORST_FIRST]) for name in names]


def _order(entry: SensorEntry) -> tuple[int, bool, str, bool, str]:
    name = public_name(entry.mac, entry.name)
    site = entry.site or ""
    return _RANK[entry.status], not site, natural(site), entry.name is None, natural(name)


def _sensor(entry: SensorEntry, now: int) -> PublicSensor:
    seen = entry.last_seen
    return PublicSensor(
        name=public_name(entry.mac, entry.name),
        site=entry.site or "",
        status=entry.status.value,
        ago="never" if seen is None else cells.ago(now - seen),
    )
