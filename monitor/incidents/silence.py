"""Silences, and how long what is quiet stays quiet. Moments are ms."""

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
    """Messages about the sensors that match are held while it lasts."""

    id: int
    matchers: Matchers
    starts_at: int
    ends_at: int
    comment: str
    created_by: str
    created_at: int

    def spans(self, since: int, until: int) -> list[MuteSpan]:
        """The time it lasts, where that overlaps the time from `since` to `until`."""
        if self.starts_at >= until or self.ends_at <= since:
            return []
        return [MuteSpan(self.starts_at, self.ends_at, reason("silence", self.id, self.comment))]


def reason(what: str, number: int, words: str) -> str:
    """Why someone was not notified, short enough for the ledger."""
    told = f"{what} {number} ({' '.join(words.split())})"
    return told if len(told) <= _LONGEST_REASON else told[: _LONGEST_REASON - 1] + "…"


def held(spans: Iterable[MuteSpan], now: int) -> Held | None:
    """Until when an incident is held at `now`, by the latest end of what overlaps or follows on.

    None: it is not. The reason is that of the span which covers `now` the longest.
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


def meant(texts: Iterable[str]) -> Matchers:
    """The matchers of a silence or a maintenance. Raises Invalid, also for none at all."""
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
    """Raises Invalid unless a silence may have these times and this comment."""
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
