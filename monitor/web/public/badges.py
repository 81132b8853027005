"""Badges: small images that tell a status or an uptime wherever a page shows them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from monitor.analysis.evidence import UnknownSensor
from monitor.analysis.history import History
from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.model import SECOND, parse_mac
from monitor.staleness.rules import SensorStatus
from monitor.store.interface import StoreError
from monitor.vault import Vault
from monitor.web.anonymous import Answers, Gate
from monitor.web.api.history import percent
from monitor.web.auth.access import public
from monitor.web.grid import cells
from monitor.web.grid.fleet import FleetChanges, FleetUnavailable
from monitor.web.public.pages import Glance, public_name, rendered

_PURPOSE = "badge"
_STATUS = "status"
_DAYS = {"24h": 1, "7d": 7, "30d": 30}
_MOST_LETTERS = 60
_LIFETIME = 10 * SECOND
_KEPT = 10_000
_PADDING = 6

# Advance of the letters of Verdana and DejaVu Sans at 11 px; the image fits others to it.
_WIDTHS = {
    letter: width
    for width, letters in {
        3: "'IJijl",
        4: " !(),-./:;[\\]frt|",
        5: '"',
        6: "*?FL_`cksvxyz",
        8: "ABCDGHNRUVXZ",
        9: "#&+<=>OQ^w~",
        10: "%M",
        11: "@Wm…",
    }.items()
    for letter in letters
}
_USUAL_WIDTH, _WIDE = 7, 12

_GREEN, _AMBER, _RED, _GREY = "#1f7552", "#8a5a00", "#b3242a", "#5b6670"
_COLOURS = {SensorStatus.UP: _GREEN, SensorStatus.DOWN: _RED, SensorStatus.UNKNOWN: _AMBER}
_UNKNOWN = "unknown", _GREY
_GOOD, _FAIR = 99.0, 95.0
"""Percent."""


class Words(NamedTuple):
    """What a badge says."""

    label: str
    message: str
    colour: str


class Offer(NamedTuple):
    """Where a badge is."""

    path: str
    markdown: str


class BadgeSubject(NamedTuple):
    """What a badge shows, and of which sensors: one, all at a site, or all."""

    sensor: str | None = None
    """Its MAC address, as text."""
    site: str | None = None
    show: str = _STATUS
    """Or the span of an uptime: 24h, 7d, 30d."""


def blueprint(
    vault: Vault, glance: Glance, past: History, base_url: str, gate: Gate, clock: Clock
) -> Blueprint:
    """`GET /badge/<signed>.svg`; gives templates `badge(alt, …)`."""
    badges = Blueprint("badges", __name__)
    words = Answers[BadgeSubject, Words](gate, clock, _LIFETIME, _KEPT)

    @badges.get("/badge/<signed>.svg")
    @public
    def badge(signed: str) -> AnyResponse:
        payload = vault.verify(_PURPOSE, signed)
        if payload is None:
            response = _image(Words("badge", "not found", _GREY), 404)
            response.cache_control.no_store = True
            return response
        subject = BadgeSubject(**payload)
        response = _image(words.get(subject, lambda: _words(subject, glance, past)))
        # What fetches images for others, such as GitHub's proxy, then asks again each time.
        response.cache_control.no_cache = True
        response.cache_control.max_age = 0
        response.add_etag()
        return response.make_conditional(request)

    @badges.app_template_global("badge")
    def offer(alt: str, **about: str) -> Offer:
        path = f"/badge/{vault.sign(_PURPOSE, about)}.svg"
        escaped = re.sub(r"([\[\]\\`*_<])", r"\\\1", _shortened(alt))
        return Offer(path, f"![{escaped}]({base_url.rstrip('/')}{path})")

    return badges


def _words(subject: BadgeSubject, glance: Glance, past: History) -> Words:
    """Grey and "unknown" while the status is unknown."""
    if subject.sensor is not None:
        return _of_sensor(parse_mac(subject.sensor), subject.show, glance, past)
    label = subject.site or "sensors"
    changes = _looked(glance)
    if changes is None:
        return Words(label, *_UNKNOWN)
    found = (entry for entry in changes.entries if subject.site in (None, entry.site))
    return Words(label, *_tally(Counter(entry.status for entry in found)))


def _of_sensor(mac: int, show: str, glance: Glance, past: History) -> Words:
    changes = _looked(lambda: glance.one(mac))
    entry = changes.entries[0] if changes and changes.entries else None
    label = public_name(mac, entry.name if entry else None)
    if show in _DAYS:
        return Words(f"{label} {show}", *_uptime(past, mac, _DAYS[show]))
    if entry is None:
        return Words(label, *_UNKNOWN)
    return Words(label, *_painted(entry.status.value, entry.status))


def _looked(look: Callable[[], FleetChanges]) -> FleetChanges | None:
    """None when what would be seen can't be taken for the present."""
    try:
        changes = look()
    except (FleetUnavailable, StateUnavailable, StoreError):
        return None
    return None if cells.problem(changes) else changes


def _tally(counts: Counter[SensorStatus]) -> tuple[str, str]:
    """The worst there is, of all that are watched."""
    watched = counts.total() - counts[SensorStatus.PAUSED]
    for status in cells.WORST_FIRST:
        number = counts[status]
        if number:
            of_all = f" of {watched}" if number < watched else ""
            return _painted(f"{number}{of_all} {status.value}", status)
    return "none", _GREY


def _painted(message: str, status: SensorStatus) -> tuple[str, str]:
    return message, _COLOURS.get(status, _GREY)


def _uptime(past: History, mac: int, days: int) -> tuple[str, str]:
    try:
        spans = past.uptimes(mac)
    except (UnknownSensor, StateUnavailable, StoreError):
        return _UNKNOWN
    span = next(span for span in spans if span.days == days)
    share = percent(span.uptime.share)
    if share is None:
        return _UNKNOWN
    return f"{share:g} %", _GREEN if share >= _GOOD else _AMBER if share >= _FAIR else _RED


def _image(words: Words, status: int = 200) -> Response:
    label, message = _shortened(words.label), _shortened(words.message)
    text = rendered(
        "public/badge.svg",
        label=label,
        message=message,
        colour=words.colour,
        left=_width(label),
        right=_width(message),
        padding=_PADDING,
    )
    response = Response(text, status, content_type="image/svg+xml; charset=utf-8")
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors *"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _shortened(text: str) -> str:
    """What XML can hold of it, and a line has room for."""
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def _width(text: str) -> int:
    """About how wide it is, in px."""
    return sum(_WIDTHS.get(letter) or _unusual_width(letter) for letter in text)


def _unusual_width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _USUAL_WIDTH
