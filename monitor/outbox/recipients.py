"""Which incidents a message is about: decided once, when its text is frozen."""

from collections.abc import Mapping
from typing import NamedTuple

from monitor.model import Held, Member
from monitor.outbox.wording import ending

LIMIT_OF_TRACKING = 1_000
"""Members of one message to a receiver that keeps a state for each."""

_COVERED = "an earlier message covers all incidents"


class Due(NamedTuple):
    """A message that is due; moments in ms."""

    kind: str
    """down | reminder | flapping | recovered"""
    created_at: int
    delay: int
    """It is only about incidents that have been open for so long."""
    tracks: bool
    """Its receiver keeps a state of its own: it needs every closing, and every member."""


class Candidate(NamedTuple):
    """An incident of the group that no message of this kind covers yet, on this channel."""

    member: Member
    acknowledged: bool
    closed_reason: str | None
    """None: it is open."""
    ended_at: int | None
    """When it was closed, or else acknowledged."""
    down_state: str | None = None
    """What became of its down message: sent | waiting | failed. None: there was none."""
    down_due: int | None = None
    """While that waits: when it is tried next."""


class Decision(NamedTuple):
    """What becomes of a message that is due."""

    members: dict[int, Member]
    """incident id -> what the message reports; empty: it has to wait."""
    later: int | None
    """When those left out have their turn."""
    held: Mapping[int, Held]
    """Those of the left out that are held back, and why."""
    gone: Mapping[int, str]
    """incident id -> why this channel will get no alert for it."""


class Undeliverable(Exception):
    """There is nothing left to report; the text is the reason."""


class TooEarly(Exception):
    """The down message it follows is still being tried, next at the time given (ms)."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


def choose(
    due: Due, candidates: Mapping[int, Candidate], covered: bool
) -> tuple[dict[int, Member], dict[int, str]]:
    """(incident id -> member, incident id -> why it needs no message any more).

    `covered`: earlier messages of this kind cover other incidents of the group. Raises
    Undeliverable, TooEarly.
    """
    if due.kind == "down":
        return _silent(due, candidates)
    if due.kind == "reminder":
        return _still_silent(due, candidates), {}
    if due.kind == "flapping":
        if not candidates:
            raise Undeliverable(_COVERED)
        return _members(candidates), {}
    return _recovered(due, candidates, covered), {}


def decide(
    due: Due,
    chosen: Mapping[int, Member],
    gone: Mapping[int, str],
    held: Mapping[int, Held],
    now: int,
) -> Decision:
    """Split those `choose` found into the ones to report now and the ones whose turn comes later:
    the `held`, the ones not open long enough, and what exceeds a tracking receiver's limit."""
    young = {number for number, who in chosen.items() if who.opened_at + due.delay > now}
    members = {n: who for n, who in chosen.items() if n not in young and n not in held}
    turns = [chosen[number].opened_at + due.delay for number in young - held.keys()]
    if due.kind != "reminder" or not members:  # held ones are in the next reminder of the others
        turns += [each.until for each in held.values()]
    if due.tracks and len(members) > LIMIT_OF_TRACKING:
        members = dict(list(members.items())[:LIMIT_OF_TRACKING])
        turns.append(now)
    return Decision(members, min(turns, default=None), held, gone)


def _silent(
    due: Due, candidates: Mapping[int, Candidate]
) -> tuple[dict[int, Member], dict[int, str]]:
    """Open and not acknowledged; the others ended before their message was written."""
    silent = {n: c for n, c in candidates.items() if c.closed_reason is None and not c.acknowledged}
    gone = {
        number: f"{_end(each)} first"
        for number, each in candidates.items()
        if number not in silent and (each.ended_at or 0) >= due.created_at
    }
    if not silent:
        raise Undeliverable(", ".join(sorted(set(gone.values()))) or _COVERED)
    return _members(silent), gone


def _still_silent(due: Due, candidates: Mapping[int, Candidate]) -> dict[int, Member]:
    """Open, not acknowledged, and their down message was sent.

    A tracking receiver may have been restarted: it needs the acknowledged ones too.
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


def _recovered(due: Due, candidates: Mapping[int, Candidate], covered: bool) -> dict[int, Member]:
    """Recovered after their down message was sent; a tracking receiver needs all that closed."""
    over = {
        number: each
        for number, each in candidates.items()
        if each.closed_reason == "recovered" or (due.tracks and each.closed_reason is not None)
    }
    waiting = [each.down_due or 0 for each in over.values() if each.down_state == "waiting"]
    if waiting:
        raise TooEarly(max(waiting))
    reported = {number: each for number, each in over.items() if each.down_state == "sent"}
    if reported:
        return _members(reported)
    if covered:
        raise Undeliverable(_COVERED)
    if any(each.down_state == "failed" for each in over.values()):
        raise Undeliverable("the alert was never delivered")
    raise Undeliverable("no alert was sent")


def _end(each: Candidate) -> str:
    closed = each.closed_reason
    return "the incident was acknowledged" if closed is None else ending(closed)


def _members(candidates: Mapping[int, Candidate]) -> dict[int, Member]:
    return {number: each.member for number, each in candidates.items()}
