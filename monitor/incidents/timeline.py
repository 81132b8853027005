"""The ledger of one incident as text: what was sent, tried or not sent, and why."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from typing import NamedTuple

from monitor.outbox import wording
from monitor.state.ledger import Facts, IncidentView, Sending

_MESSAGES = {
    "down": "the alert",
    "recovered": "the recovery message",
    "reminder": "a reminder",
    "flapping": "the flapping message",
}
_RESULTS = {
    "sent": "was sent",
    "retry": "was not sent and will be tried again",
    "failed": "could not be sent",
}


class TimelineEntry(NamedTuple):
    """One thing that happened, or is going to; moments in ms."""

    at: int
    channel: str | None
    """The recipient; None: it concerns the incident itself."""
    kind: str | None
    """down | recovered | reminder | flapping; None as above."""
    event: str
    """opened | acknowledged | closed | unsent | written | sent | retry | failed | cancelled |
    waiting | held | suppressed"""
    text: str
    until: int | None = None
    recipient: str | None = None
    """Of a channel with several."""


Written = Callable[[int], str]
"""Writes a moment (ms) within a text."""


def in_utc(moment: int) -> str:
    """2026-11-23 13:03:12 UTC."""
    return wording.long(moment, UTC)


def tell(facts: Facts, now: int, written: Written = in_utc) -> list[TimelineEntry]:
    """Everything on one incident in the order of time; what is still to come is at its end."""
    entries = [*_life(facts.case, written), *_suppressed(facts, written)]
    held = {(row.channel, row.kind) for row in facts.suppressions if row.until is not None}
    refused = {(row.channel, row.kind) for row in facts.suppressions if row.until is None}
    told = {(row.channel, row.recipient, row.kind) for row in facts.sendings if row.names}
    for sending in facts.sendings:
        matter = (sending.channel, sending.kind)
        still_held = sending.held_until is not None and sending.finished_at is None
        said = matter in refused or (still_held and matter in held)
        unsaid = (sending.channel, sending.recipient, sending.kind) not in told
        of_it: Iterable[TimelineEntry] = ()
        if sending.names:
            of_it = _named(sending, now)
        elif not said and (unsaid or sending.kind == "reminder"):
            of_it = _left_out(facts.case, sending, now)
        entries += (entry._replace(recipient=sending.recipient) for entry in of_it)
    if not facts.sendings and not facts.suppressions:
        text = "no one was notified: there is no channel"
        entries.append(TimelineEntry(facts.case.opened_at, None, None, "unsent", text))
    return sorted(dict.fromkeys(entries), key=lambda entry: entry.at)


def _life(case: IncidentView, written: Written) -> Iterator[TimelineEntry]:
    why = "" if case.proven else "; presumed down, because monitoring was blind during the silence"
    text = (
        f"silent since {written(case.last_seen)}, longer than its threshold of "
        f"{wording.duration(case.threshold)}{why}"
    )
    yield TimelineEntry(case.opened_at, None, None, "opened", text)
    if case.acknowledged_at is not None:
        text = f"acknowledged by {answered_by(case)}"
        yield TimelineEntry(case.acknowledged_at, None, None, "acknowledged", text)
    if case.closed_at is not None:
        text = f"closed: {ending(case)}"
        if case.recovered_at is not None:
            text += f", first heartbeat at {written(case.recovered_at)}"
        yield TimelineEntry(case.closed_at, None, None, "closed", text)


def _suppressed(facts: Facts, written: Written) -> Iterator[TimelineEntry]:
    for row in facts.suppressions:
        what = _MESSAGES.get(row.kind, row.kind)
        if row.until is None:
            text, event = f"{what} was not sent: {row.reason}", "suppressed"
        else:
            text, event = (
                f"{what} was held until {written(row.until)}: {row.reason}",
                "held",
            )
        yield TimelineEntry(row.at, row.channel, row.kind, event, text, row.until)


def _named(row: Sending, now: int) -> Iterator[TimelineEntry]:
    """A message that includes the incident."""
    what, channel, kind = _MESSAGES.get(row.kind, row.kind), row.channel, row.kind
    if row.frozen_at is not None:
        about = f": {row.subject}" if row.subject else ""
        yield TimelineEntry(row.frozen_at, channel, kind, "written", f"{what} was written{about}")
    for number, attempt in enumerate(row.attempts, start=1):
        detail = f": {attempt.detail}" if attempt.detail else ""
        result = _RESULTS.get(attempt.result, attempt.result)
        text = f"{what} {result} (attempt {number}){detail}"
        yield TimelineEntry(attempt.at, channel, kind, attempt.result, text)
    if row.finished_at is not None:
        last = row.attempts[-1].result if row.attempts else None
        if row.state != last:  # ended by something else than an attempt
            yield _ended(row, row.finished_at)
    elif row.state == "claimed":
        yield TimelineEntry(now, channel, kind, "waiting", f"{what} is being sent")
    else:
        yield _waiting(row, now, "will be tried again" if row.attempts else "will be sent")


def _left_out(case: IncidentView, row: Sending, now: int) -> Iterator[TimelineEntry]:
    """A message that does not include the incident, or not yet."""
    if row.kind == "recovered" and case.closed_reason != "recovered":
        return
    if row.kind == "flapping" and case.flapping_since is None:
        return
    if row.kind == "reminder" and case.closed_at is not None and case.acknowledged_at is None:
        return  # none is expected
    end = None if row.kind == "recovered" else _end(case)
    if end is not None and end[0] <= (row.frozen_at or row.finished_at or now):
        text = f"{_MESSAGES.get(row.kind, row.kind)} was not sent: {end[1]} first"
        yield TimelineEntry(end[0], row.channel, row.kind, "cancelled", text)
    elif row.finished_at is not None and row.frozen_at is None:
        yield _ended(row, row.finished_at)
    elif row.frozen_at is None:
        yield _waiting(row, now, "will be sent")


def _end(case: IncidentView) -> tuple[int, str] | None:
    """Since when no message is needed, and why; None if one is needed."""
    if case.acknowledged_at is not None:
        return case.acknowledged_at, "the incident was acknowledged"
    return None if case.closed_at is None else (case.closed_at, ending(case))


def _ended(row: Sending, at: int) -> TimelineEntry:
    what = _MESSAGES.get(row.kind, row.kind)
    reason = f": {row.outcome}" if row.outcome else ""
    result = _RESULTS.get(row.state, "was not sent")
    return TimelineEntry(at, row.channel, row.kind, row.state, f"{what} {result}{reason}")


def _waiting(row: Sending, now: int, verb: str) -> TimelineEntry:
    what, due = _MESSAGES.get(row.kind, row.kind), row.next_attempt_at
    text = f"{what} {verb}"
    if row.held_until is not None:
        due, reason = row.held_until, f": {row.outcome}" if row.outcome else ""
        text = f"{what} is held{reason}"
    return TimelineEntry(max(due, now), row.channel, row.kind, "waiting", text, due)


def answered_by(case: IncidentView) -> str:
    """Who acknowledged it."""
    return case.acknowledged_by or "an unknown user"


def ending(case: IncidentView) -> str:
    """Why it was closed, such as: recovered."""
    return wording.ending(case.closed_reason or "")
