"""Public status pages: read-only, for anyone who has the link, without private data."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app

from monitor.model import format_mac
from monitor.staleness.rules import SensorStatus
from monitor.state import public_pages
from monitor.state.database import reading
from monitor.state.public_pages import PublicPage
from monitor.web.auth.access import public
from monitor.web.context import context
from monitor.web.errors import RequestRefused
from monitor.web.grid import cells
from monitor.web.grid.fleet import FleetChanges, SensorEntry
from monitor.web.grid.search import natural
from monitor.web.public.caches import MAX_AGE
from monitor.web.responses import HTML

MOST_NAMED = 500
"""The maximum number of sensors that a page names; it counts the others."""

_RANK = {status: rank for rank, status in enumerate(cells.WORST_FIRST)}


class Site(NamedTuple):
    """The number of sensors of a site with each status, in the order of WORST_FIRST."""

    name: str
    """Empty for sensors without a site."""
    counts: list[int]


class PublicSensor(NamedTuple):
    """A sensor, with what is public of it."""

    name: str
    site: str
    status: str
    ago: str


class Board(NamedTuple):
    """The content of a public page."""

    title: str
    summary: str
    worst: str
    """The status that the summary reports; empty if the status is not known."""
    problem: str | None
    """Why this is not the current status."""
    as_of: int
    sites: list[Site]
    sensors: list[PublicSensor]
    """The sensors, the worst status first; empty if the page shows numbers only."""
    more: int
    """The number of sensors above the limit of MOST_NAMED."""


def board(page: PublicPage, changes: FleetChanges) -> Board:
    """The content of a page, made from the fleet."""
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


blueprint = Blueprint("public", __name__, url_prefix="/public")


@blueprint.get("/<key>")
@public
def page(key: str) -> Response:
    return _response(key, "public/page.html")


@blueprint.get("/<key>/now")
@public
def now(key: str) -> Response:
    """The part of the page that its script keeps up to date."""
    return _response(key, "public/board.html")


def _response(key: str, template: str) -> Response:
    caches = context().public
    shown = public_pages.find(caches.pages.get(None, _pages), key)
    if shown is None:
        raise RequestRefused(404, "This page doesn't exist or its link was replaced.")
    text = caches.texts.get((template, repr(shown)), lambda: _text(shown, template))
    response = Response(text, content_type=HTML)
    response.cache_control.max_age = MAX_AGE
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _pages() -> list[PublicPage]:
    with reading(context().engine) as connection:
        return public_pages.listed(connection)


def _text(shown: PublicPage, template: str) -> str:
    filled = board(shown, context().public.fleet.all())
    return rendered(template, board=filled, statuses=cells.WORST_FIRST, key=shown.key)


def rendered(template: str, **values: Any) -> str:
    """A template's text without Flask's context processors: it is the same for all viewers."""
    return current_app.jinja_env.get_template(template).render(**values)


def public_name(mac: int, name: str | None) -> str:
    """The sensor's name, or else the end of its address, which does not reveal the manufacturer."""
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
