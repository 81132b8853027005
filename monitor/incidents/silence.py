"""Silences, and until when they hold messages. Times are in ms."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from monitor.errors import Invalid
from monitor.incidents import matching
from monitor.incidents.matching import Matchers
from monitor.model import DAY, Held

LONGEST = 366 * DAY
LONGEST_COMMENT = 1_000
_LONGEST_REASON = 200


class MuteSpan(NamedTuple):
    """Messages about an incident are held from `start` up to, not including, `stop`."""

    start: int
    stop: int
    reason: str


@dataclass(frozen=True)
class Silence:
    """Holds messages about matching sensors from `starts_at` to `ends_at`."""

    id: int
    matchers: Matchers
    starts_at: int
    ends_at: int
    comment: str
    created_by: str
    created_at: int

    def spans(self, since: int, until: int) -> list[MuteSpan]:
        """The silence as a span, if it overlaps the time from `since` to `until`."""
        if self.starts_at >= until or self.ends_at <= since:
            return []
        return [MuteSpan(self.starts_at, self.ends_at, reason("silence", self.id, self.comment))]


def reason(what: str, number: int, words: str) -> str:
    """Why a message is held, short enough for the ledger."""
    text = f"{what} {number} ({' '.join(words.split())})"
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def held(spans: Iterable[MuteSpan], now: int) -> Held | None:
    """Until when an incident is held: the end of the last of the spans that cover `now`, overlap
    or adjoin. None if no span covers `now`.

    The reason is that of the span that covers `now` and ends last.
    """
    covering: MuteSpan | None = None
    until = now
    for span in sorted(spans):
        if span.start > until:
            break
        if span.start <= now < span.stop and (covering is None or span.stop > covering.stop):
            covering = span
        until = max(until, span.stop)
    return None if covering is None else Held(until, covering.reason)


def parse_matchers(texts: Iterable[str]) -> Matchers:
    """Parses the matchers of a silence or a maintenance. Raises Invalid, also without any."""
    try:
        matchers = matching.parse(texts)
    except ValueError as error:
        raise Invalid("matchers", str(error)) from error
    if not matchers.matchers:
        raise Invalid(
            "matchers",
            "must have at least one matcher, such as site=Hall A; mac=* matches all sensors",
        )
    return matchers


def check(starts_at: int, ends_at: int, comment: str, now: int) -> None:
    """Raises Invalid if a silence can't have these times and this comment."""
    if starts_at - now > LONGEST:
        raise Invalid("starts_at", "must be within a year from now")
    if ends_at <= max(starts_at, now):
        raise Invalid("ends_at", "must be in the future, and after the start")
    if ends_at - max(starts_at, now) > LONGEST:
        raise Invalid("ends_at", "must be at most a year after the start")
    if not comment.strip():
        raise Invalid("comment", "is required")
    if len(comment) > LONGEST_COMMENT:
        raise Invalid("comment", f"must have at most {LONGEST_COMMENT} characters")
