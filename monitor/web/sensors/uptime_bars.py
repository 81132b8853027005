"""Uptime as lines of text, each with the parts of a bar."""

from collections.abc import Sequence
from typing import NamedTuple

from monitor.analysis.history import UptimeSpan
from monitor.model import DAY
from monitor.outbox.wording import duration, percent

_LEAST = 0.6
"""The minimum width of a part in percent of the bar, so that short times are visible."""


class Part(NamedTuple):
    """One kind of time within a span, and its position in the bar in percent."""

    kind: str
    left: float
    width: float
    length: str


class UptimeLine(NamedTuple):
    """Uptime over one span."""

    title: str
    percent: str | None
    """None when no time was either up or down."""
    parts: list[Part]
    known: str
    """How much of the span is known, as text; empty if all of it is."""


def lines(spans: Sequence[UptimeSpan]) -> list[UptimeLine]:
    """A line for each span."""
    return [_line(span) for span in spans]


def _line(span: UptimeSpan) -> UptimeLine:
    lengths = {kind: length for kind, length in span.uptime._asdict().items() if length > 0}
    known, share = sum(lengths.values()), percent(span.uptime.share)
    return UptimeLine(
        "24 hours" if span.days == 1 else f"{span.days} days",
        None if share is None else f"{share:g} %",
        _parts(lengths),
        duration(known) if 0 < known < span.days * DAY else "",
    )


def _parts(lengths: dict[str, int]) -> list[Part]:
    whole = sum(lengths.values())
    widths = {kind: max(100 * length / whole, _LEAST) for kind, length in lengths.items()}
    if widths:
        widest = max(widths, key=lambda kind: widths[kind])
        widths[widest] -= sum(widths.values()) - 100
    parts, left = [], 0.0
    for kind, length in lengths.items():
        parts.append(Part(kind, round(left, 2), round(widths[kind], 2), duration(length)))
        left += widths[kind]
    return parts
