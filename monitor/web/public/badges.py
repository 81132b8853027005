"""Badges: small images of a status or an uptime, for any web page."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from monitor.analysis.evidence import UnknownSensor
from monitor.errors import StateUnavailable
from monitor.model import parse_mac
from monitor.outbox.wording import percent
from monitor.staleness.rules import SensorStatus
from monitor.store.interface import StoreError
from monitor.web.auth.access import public
from monitor.web.context import context
from monitor.web.grid import cells
from monitor.web.grid.fleet import FleetChanges, FleetUnavailable
from monitor.web.public.caches import BadgeSubject, BadgeText
from monitor.web.public.pages import public_name, rendered

_PURPOSE = "badge"
_DAYS = {"24h": 1, "7d": 7, "30d": 30}
_MOST_LETTERS = 60
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
"""The limits of green and amber in percent."""


class Offer(NamedTuple):
    """The link to a badge."""

    path: str
    markdown: str


blueprint = Blueprint("badges", __name__)


@blueprint.get("/badge/<signed>.svg")
@public
def badge(signed: str) -> AnyResponse:
    payload = context().vault.verify(_PURPOSE, signed)
    if payload is None:
        response = _image(BadgeText("badge", "not found", _GREY), 404)
        response.cache_control.no_store = True
        return response
    subject = BadgeSubject(**payload)
    response = _image(context().public.badges.get(subject, lambda: _text(subject)))
    # Image proxies, such as GitHub's, then revalidate the image each time.
    response.cache_control.no_cache = True
    response.cache_control.max_age = 0
    response.add_etag()
    return response.make_conditional(request)


@blueprint.app_template_global("badge")
def offer(alt: str, **about: str) -> Offer:
    """The path of a badge, and Markdown that shows it; `about` as in BadgeSubject."""
    path = f"/badge/{context().vault.sign(_PURPOSE, about)}.svg"
    escaped = re.sub(r"([\[\]\\`*_<])", r"\\\1", _shortened(alt))
    return Offer(path, f"![{escaped}]({context().base_url.rstrip('/')}{path})")


def _text(subject: BadgeSubject) -> BadgeText:
    """The current text; grey and "unknown" while the status is not known."""
    if subject.sensor is not None:
        return _of_sensor(parse_mac(subject.sensor), subject.show)
    label = subject.site or "sensors"
    changes = _current(context().public.fleet.all)
    if changes is None:
        return BadgeText(label, *_UNKNOWN)
    found = (entry for entry in changes.entries if subject.site in (None, entry.site))
    return BadgeText(label, *_worst(Counter(entry.status for entry in found)))


def _of_sensor(mac: int, show: str) -> BadgeText:
    changes = _current(lambda: context().public.fleet.one(mac))
    entry = changes.entries[0] if changes and changes.entries else None
    label = public_name(mac, entry.name if entry else None)
    if show in _DAYS:
        return BadgeText(f"{label} {show}", *_uptime(mac, _DAYS[show]))
    if entry is None:
        return BadgeText(label, *_UNKNOWN)
    return BadgeText(label, *_coloured(entry.status.value, entry.status))


def _current(look: Callable[[], FleetChanges]) -> FleetChanges | None:
    """The sensors that `look` returns; None if their current status is not known."""
    try:
        changes = look()
    except (FleetUnavailable, StateUnavailable, StoreError):
        return None
    return None if cells.problem(changes) else changes


def _worst(counts: Counter[SensorStatus]) -> tuple[str, str]:
    """The worst status, and how many of the monitored sensors have it."""
    monitored = counts.total() - counts[SensorStatus.PAUSED]
    for status in cells.WORST_FIRST:
        number = counts[status]
        if number:
            of_all = f" of {monitored}" if number < monitored else ""
            return _coloured(f"{number}{of_all} {status.value}", status)
    return "none", _GREY


def _coloured(message: str, status: SensorStatus) -> tuple[str, str]:
    return message, _COLOURS.get(status, _GREY)


def _uptime(mac: int, days: int) -> tuple[str, str]:
    try:
        spans = context().history.uptimes(mac)
    except (UnknownSensor, StateUnavailable, StoreError):
        return _UNKNOWN
    span = next(span for span in spans if span.days == days)
    share = percent(span.uptime.share)
    if share is None:
        return _UNKNOWN
    return f"{share:g} %", _GREEN if share >= _GOOD else _AMBER if share >= _FAIR else _RED


def _image(text: BadgeText, status: int = 200) -> Response:
    label, message = _shortened(text.label), _shortened(text.message)
    svg = rendered(
        "public/badge.svg",
        label=label,
        message=message,
        colour=text.colour,
        left=_width(label),
        right=_width(message),
        padding=_PADDING,
    )
    response = Response(svg, status, content_type="image/svg+xml; charset=utf-8")
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors *"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _shortened(text: str) -> str:
    """The printable characters, cut to the maximum length."""
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def _width(text: str) -> int:
    """The approximate width in px."""
    return sum(_WIDTHS.get(letter) or _unusual_width(letter) for letter in text)


def _unusual_width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _USUAL_WIDTH
