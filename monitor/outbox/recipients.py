"""Decides which incidents a message reports. This happens once, when the message is frozen."""

from collections.abc import Mapping
from typing import NamedTuple

from monitor.model import Held, Member
from monitor.outbox.wording import ending

TRACKING_LIMIT = 1_000
"""The most members of one message to a tracking receiver."""

_COVERED = "an earlier message covers all incidents"


class Due(NamedTuple):
    """A message that is due. Times in ms."""

    kind: str
    """down | reminder | flapping | recovered"""
    created_at: int
    delay: int
    """How long an incident must have been open before the message reports it."""
    tracks: bool
    """Its receiver tracks each sensor: it needs every closed incident and every member."""


class Candidate(NamedTuple):
    """An incident of the group that no message of this kind on this channel reports yet."""

    member: Member
    acknowledged: bool
    closed_reason: str | None
    """None: it is open."""
    ended_at: int | None
    """When it was closed; if it is open, when it was acknowledged."""
    down_state: str | None = None
    """State of its down message: sent | waiting | failed. None: it has none."""
    down_due: int | None = None
    """If the down message waits: when it is tried next."""


class Decision(NamedTuple):
    """What a message that is due reports now, and what it leaves out."""

    members: dict[int, Member]
    """incident id -> what the message reports. Empty: the message has to wait."""
    later: int | None
    """When the first of the incidents left out can be reported. None: none is left out."""
    held: Mapping[int, Held]
    """incident id -> why it is held, of those left out."""
    dropped: Mapping[int, str]
    """incident id -> why this channel gets no message about it."""


class Undeliverable(Exception):
    """The message has nothing to report; the text is the reason."""


class TooEarly(Exception):
    """The down message that it follows is still being tried, next at `until` (ms)."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


def choose(
    due: Due, candidates: Mapping[int, Candidate], covered: bool
) -> tuple[dict[int, Member], dict[int, str]]:
    """Returns the incidents to report (id -> member), and those that need no message any more
    (id -> reason).

    `covered`: whether earlier messages of this kind report other incidents of the group.
    Raises Undeliverable, TooEarly.
    """
    if due.kind == "down":
        return _choose_down(due, candidates)
    if due.kind == "reminder":
        return _choose_reminder(due, candidates), {}
    if due.kind == "flapping":
        if not candidates:
            raise Undeliverable(_COVERED)
        return _members(candidates), {}
    return _choose_recovered(due, candidates, covered), {}


def decide(
    due: Due,
    chosen: Mapping[int, Member],
    dropped: Mapping[int, str],
    held: Mapping[int, Held],
    now: int,
) -> Decision:
    """Splits `chosen` into incidents to report now, and those left out until later.

    Left out are incidents in `held`, incidents not open for the message's delay, and those beyond
    the limit of a tracking receiver.
    """
    young = {number for number, member in chosen.items() if member.opened_at + due.delay > now}
    members = {n: member for n, member in chosen.items() if n not in young and n not in held}
    turns = [chosen[number].opened_at + due.delay for number in young - held.keys()]
    if due.kind != "reminder" or not members:  # the next reminder reports the held ones, too
        turns += [each.until for each in held.values()]
    if due.tracks and len(members) > TRACKING_LIMIT:
        members = dict(list(members.items())[:TRACKING_LIMIT])
        turns.append(now)
    return Decision(members, min(turns, default=None), held, dropped)


def _choose_down(
    due: Due, candidates: Mapping[int, Candidate]
) -> tuple[dict[int, Member], dict[int, str]]:
    """Open incidents that are not acknowledged, and why the others need no message."""
    silent = {n: c for n, c in candidates.items() if c.closed_reason is None and not c.acknowledged}
    dropped = {
        number: f"{_end(each)} first"
        for number, each in candidates.items()
        if number not in silent and (each.ended_at or 0) >= due.created_at
    }
    if not silent:
        raise Undeliverable(", ".join(sorted(set(dropped.values()))) or _COVERED)
    return _members(silent), dropped


def _choose_reminder(due: Due, candidates: Mapping[int, Candidate]) -> dict[int, Member]:
    """Open incidents that are not acknowledged and whose down message was sent.

    A tracking receiver may have been restarted: it needs the acknowledged ones, too.
    """
    silent = {
        number: each
        for number, each in candidates.items()
        if each.closed_reason is None
        and each.down_state == "sent"
        and (due.tracks or not each.acknowledged)
    }
    if not silent:
        raise Undeliverable("the incidents were acknowledged or closed first")
    return _members(silent)


def _choose_recovered(
    due: Due, candidates: Mapping[int, Candidate], covered: bool
) -> dict[int, Member]:
    """Incidents that recovered, and whose down message was sent.

    A tracking receiver needs all closed incidents, whatever closed them.
    """
    closed = {
        number: each
        for number, each in candidates.items()
        if each.closed_reason == "recovered" or (due.tracks and each.closed_reason is not None)
    }
    waiting = [each.down_due or 0 for each in closed.values() if each.down_state == "waiting"]
    if waiting:
        raise TooEarly(max(waiting))
    reported = {number: each for number, each in closed.items() if each.down_state == "sent"}
    if reported:
        return _members(reported)
    if covered:
        raise Undeliverable(_COVERED)
    if any(each.down_state == "failed" for each in closed.values()):
        raise Undeliverable("the alert was never delivered")
    raise Undeliverable("no alert was sent")


def _end(each: Candidate) -> str:
    closed = each.closed_reason
    return "the incident was acknowledged" if closed is None else ending(closed)


def _members(candidates: Mapping[int, Candidate]) -> dict[int, Member]:
    return {number: each.member for number, each in candidates.items()}
