"""The timeline of one incident in words: which messages were sent or not, and why."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from typing import NamedTuple

from monitor.model import Facts, IncidentView, Sending, Suppression
from monitor.outbox import wording
from monitor.refusal import PRESUMED

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
    """One event, in the past or expected; times in ms."""

    at: int
    channel: str | None
    """The channel that the message is for; None for an event of the incident itself."""
    kind: str | None
    """down | recovered | reminder | flapping; None for an event of the incident itself."""
    event: str
    """opened | acknowledged | closed | unsent | written | sent | retry | failed | cancelled |
    waiting | held | suppressed"""
    text: str
    until: int | None = None
    recipient: str | None = None
    """The recipient, if the channel has several."""


FormatTime = Callable[[int], str]
"""Formats a time (ms) within a text."""


def in_utc(moment: int) -> str:
    """2026-11-23 13:03:12 UTC."""
    return wording.long(moment, UTC)


def build_timeline(facts: Facts, now: int, format_time: FormatTime = in_utc) -> list[TimelineEntry]:
    """All events of one incident in chronological order; expected events are last."""
    entries = [
        *_incident_events(facts.case, format_time),
        *(_suppression(row, format_time) for row in facts.suppressions),
    ]
    explained = _Explained(facts)
    for sending in facts.sendings:
        events: Iterable[TimelineEntry] = ()
        if sending.includes_incident:
            events = _sending_events(sending, now)
        elif sending not in explained:
            events = _missing_from(sending, facts.case, now)
        entries += (event._replace(recipient=sending.recipient) for event in events)
    if not facts.sendings and not facts.suppressions:
        text = "no one was notified: there is no channel"
        entries.append(TimelineEntry(facts.case.opened_at, None, None, "unsent", text))
    return sorted(dict.fromkeys(entries), key=lambda entry: entry.at)


class _Explained:
    """The messages without the incident that need no entry, because another entry shows why."""

    def __init__(self, facts: Facts) -> None:
        rows = facts.suppressions
        self._held = {(row.channel, row.kind) for row in rows if row.until is not None}
        self._refused = {(row.channel, row.kind) for row in rows if row.until is None}
        self._notified = {
            (sending.channel, sending.recipient, sending.kind)
            for sending in facts.sendings
            if sending.includes_incident
        }

    def __contains__(self, sending: Sending) -> bool:
        key = sending.channel, sending.kind
        if key in self._refused:
            return True
        if key in self._held and sending.held_until is not None and sending.finished_at is None:
            return True
        # Each reminder is expected by itself; of the other kinds, one message is enough.
        recipient = sending.channel, sending.recipient, sending.kind
        return sending.kind != "reminder" and recipient in self._notified


def _incident_events(case: IncidentView, format_time: FormatTime) -> Iterator[TimelineEntry]:
    why = "" if case.proven else f"; {PRESUMED}"
    text = (
        f"silent since {format_time(case.last_seen)}, longer than its threshold of "
        f"{wording.duration(case.threshold)}{why}"
    )
    yield TimelineEntry(case.opened_at, None, None, "opened", text)
    if case.acknowledged_at is not None:
        text = f"acknowledged by {answered_by(case)}"
        yield TimelineEntry(case.acknowledged_at, None, None, "acknowledged", text)
    if case.closed_at is not None:
        text = f"closed: {ending(case)}"
        if case.recovered_at is not None:
            text += f", first heartbeat at {format_time(case.recovered_at)}"
        yield TimelineEntry(case.closed_at, None, None, "closed", text)


def _suppression(row: Suppression, format_time: FormatTime) -> TimelineEntry:
    what = _message(row.kind)
    if row.until is None:
        event, text = "suppressed", f"{what} was not sent: {row.reason}"
    else:
        until = format_time(row.until)
        event, text = "held", f"{what} was held until {until}: {row.reason}"
    return TimelineEntry(row.at, row.channel, row.kind, event, text, row.until)


def _sending_events(sending: Sending, now: int) -> Iterator[TimelineEntry]:
    """The events of a message that includes the incident."""
    what, channel, kind = _message(sending.kind), sending.channel, sending.kind
    if sending.frozen_at is not None:
        text = f"{what} was written{_after_colon(sending.subject)}"
        yield TimelineEntry(sending.frozen_at, channel, kind, "written", text)
    for number, attempt in enumerate(sending.attempts, start=1):
        result = _RESULTS.get(attempt.result, attempt.result)
        text = f"{what} {result} (attempt {number}){_after_colon(attempt.detail)}"
        yield TimelineEntry(attempt.at, channel, kind, attempt.result, text)
    if sending.finished_at is None:
        yield _expected(sending, now)
    elif not sending.attempts or sending.attempts[-1].result != sending.state:
        yield _finished(sending, sending.finished_at)  # not by its last attempt


def _expected(sending: Sending, now: int) -> TimelineEntry:
    if sending.state == "claimed":
        text = f"{_message(sending.kind)} is being sent"
        return TimelineEntry(now, sending.channel, sending.kind, "waiting", text)
    return _waiting(sending, now, "will be tried again" if sending.attempts else "will be sent")


def _missing_from(sending: Sending, case: IncidentView, now: int) -> Iterable[TimelineEntry]:
    """The events of a message that does not include the incident, or not yet."""
    if not _is_expected(sending.kind, case):
        return []
    end = None if sending.kind == "recovered" else _end_of_alerting(case)
    written_at = sending.frozen_at or sending.finished_at or now
    if end is not None and end[0] <= written_at:
        ended_at, why = end
        text = f"{_message(sending.kind)} was not sent: {why} first"
        return [TimelineEntry(ended_at, sending.channel, sending.kind, "cancelled", text)]
    if sending.frozen_at is not None:
        return []
    if sending.finished_at is not None:
        return [_finished(sending, sending.finished_at)]
    return [_waiting(sending, now, "will be sent")]


def _is_expected(kind: str, incident: IncidentView) -> bool:
    """Whether you would expect a message of this kind about the incident."""
    match kind:
        case "recovered":
            return incident.closed_reason == "recovered"
        case "flapping":
            return incident.flapping_since is not None
        case "reminder":
            return incident.closed_at is None or incident.acknowledged_at is not None
    return True


def _end_of_alerting(case: IncidentView) -> tuple[int, str] | None:
    """(time, reason) after which no more alerts are sent; None while they are."""
    if case.acknowledged_at is not None:
        return case.acknowledged_at, "the incident was acknowledged"
    return None if case.closed_at is None else (case.closed_at, ending(case))


def _finished(sending: Sending, at: int) -> TimelineEntry:
    result = _RESULTS.get(sending.state, "was not sent")
    text = f"{_message(sending.kind)} {result}{_after_colon(sending.outcome)}"
    return TimelineEntry(at, sending.channel, sending.kind, sending.state, text)


def _waiting(sending: Sending, now: int, verb: str) -> TimelineEntry:
    if sending.held_until is None:
        due, text = sending.next_attempt_at, verb
    else:
        due, text = sending.held_until, f"is held{_after_colon(sending.outcome)}"
    text = f"{_message(sending.kind)} {text}"
    return TimelineEntry(max(due, now), sending.channel, sending.kind, "waiting", text, due)


def _message(kind: str) -> str:
    return _MESSAGES.get(kind, kind)


def _after_colon(detail: str | None) -> str:
    return f": {detail}" if detail else ""


def answered_by(case: IncidentView) -> str:
    """Who acknowledged the incident."""
    return case.acknowledged_by or "an unknown user"


def ending(case: IncidentView) -> str:
    """Why it was closed, such as: recovered."""
    return wording.ending(case.closed_reason or "")
