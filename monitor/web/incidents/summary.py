"""One incident in words, and what the form needs that acknowledges or silences it."""

from typing import Any, NamedTuple

from flask import request

from monitor.incidents.timeline import TimelineEntry, answered_by, build_timeline, ending
from monitor.model import DAY, HOUR, Facts, IncidentView, format_time
from monitor.outbox.wording import duration

DURATIONS = {str(each): duration(each) for each in (HOUR, 4 * HOUR, DAY, 7 * DAY)}
"""The choices for the duration of a silence: value in the form (ms) -> text."""


class Story(NamedTuple):
    """An incident with its timeline."""

    case: IncidentView
    summary: str
    """The text after "silent since" and the time."""
    entries: list[TimelineEntry]


def story(facts: Facts, now: int) -> Story:
    """Times within texts are in RFC 3339: the template filter `moments` formats them."""
    return Story(facts.case, summary(facts.case, now), build_timeline(facts, now, format_time))


def summary(case: IncidentView, now: int) -> str:
    """How long the sensor was silent, and who acknowledged the incident or what ended it."""
    if case.closed_at is not None:
        return f"for {lasted(case, now)}; {ending(case)}"
    known = "" if case.acknowledged_at is None else f", acknowledged by {answered_by(case)}"
    return f"for {lasted(case, now)} so far{known}"


def lasted(case: IncidentView, now: int) -> str:
    """How long the sensor is or was silent."""
    until = now if case.closed_at is None else case.recovered_at or case.closed_at
    return duration(max(until - case.last_seen, 0))


def answering(wrong: str) -> dict[str, Any]:
    """The values that incidents/actions.html needs; `wrong`: the form's field at fault."""
    return {
        "answered_by": answered_by,
        "durations": DURATIONS,
        "wrong": wrong,
        "given": request.form,
    }
