"""How messages write names, times, numbers and durations."""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from monitor.model import DAY, HOUR, MINUTE, SECOND, Member, format_mac

_LONGEST_NAME = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDINGS = {
    "recovered": "recovered",
    "threshold changed": "the threshold was changed",
    "paused": "the sensor was paused",
    "forgotten": "the sensor was removed",
}
_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


def name(member: Member) -> str:
    """The sensor's name, or its address."""
    return clean(member.name or "") or format_mac(member.mac)


def label(member: Member, site: str | None) -> str:
    """Name and address. With its site, unless the message names one `site` for all members."""
    called, mac = name(member), format_mac(member.mac)
    both = mac if called == mac else f"{called} ({mac})"
    return both if site else both + at(member.site)


def at(site: str | None) -> str:
    """` at Site X`, or nothing."""
    cleaned = clean(site or "")
    return f" at {cleaned}" if cleaned else ""


def clean(text: str) -> str:
    """The text on one line and shortened, without control characters and direction marks."""
    joined = " ".join(plain(text).split())
    return joined if len(joined) <= _LONGEST_NAME else joined[: _LONGEST_NAME - 1].rstrip() + "…"


def plain(text: str) -> str:
    """The text without control characters: nothing moves a terminal's cursor or changes colors."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def number(count: int) -> str:
    """`1,234`: with thousands separators."""
    return f"{count:,}"


def counted(count: int, what: str) -> str:
    """`1 sensor`, `2 sensors`: for nouns with a regular plural."""
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def percent(share: float | None) -> float | None:
    """A share in percent to three places, rounded down: only 1.0 is 100 %. None stays None."""
    return None if share is None else math.floor(share * 100_000) / 1_000


def long(moment: int, zone: tzinfo) -> str:
    """`2026-11-23 14:03:12 CET`."""
    return f"{local(moment, zone):%Y-%m-%d %H:%M:%S %Z}"


def ending(closed_reason: str) -> str:
    """Why an incident was closed, such as `the sensor was paused`."""
    return _ENDINGS.get(closed_reason, closed_reason)


def local(moment: int, zone: tzinfo) -> datetime:
    """Converts a time (ms) to a datetime in the zone."""
    return (_EPOCH + timedelta(milliseconds=moment)).astimezone(zone)


def duration(milliseconds: int) -> str:
    """`2 h 5 min`: the largest unit and the next smaller one, rounded down."""
    for (unit, symbol), (smaller, smaller_symbol) in pairwise(_UNITS):
        whole, rest = divmod(milliseconds, unit)
        if whole:
            return f"{whole} {symbol}" + (
                f" {rest // smaller} {smaller_symbol}" if rest >= smaller else ""
            )
    return f"{milliseconds // SECOND} s"


def seconds(milliseconds: int) -> str:
    """A duration in seconds, with up to three decimals: `600` or `0.5`."""
    return f"{milliseconds / SECOND:.3f}".rstrip("0").rstrip(".")
