"""The states of an incident, as a transition table."""

from enum import StrEnum


class IncidentState(StrEnum):
    """The state of an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Event(StrEnum):
    """What changes the state; the value of a closing event is the recorded reason."""

    ACKNOWLEDGE = "acknowledge"
    RECOVER = "recovered"
    CHANGE_THRESHOLD = "threshold changed"
    PAUSE = "paused"
    FORGET = "forgotten"


class IllegalMove(Exception):
    """The event is not possible in this state."""


CLOSING = frozenset({Event.RECOVER, Event.CHANGE_THRESHOLD, Event.PAUSE, Event.FORGET})

TRANSITIONS: dict[tuple[IncidentState, Event], IncidentState] = {
    (IncidentState.OPEN, Event.ACKNOWLEDGE): IncidentState.ACKNOWLEDGED,
    **{
        (state, event): IncidentState.CLOSED
        for state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
        for event in CLOSING
    },
}


def state_of(acknowledged_at: int | None, closed_at: int | None) -> IncidentState:
    """The state of a stored incident, by its times (ms)."""
    if closed_at is not None:
        return IncidentState.CLOSED
    return IncidentState.OPEN if acknowledged_at is None else IncidentState.ACKNOWLEDGED


def move(state: IncidentState, event: Event) -> IncidentState:
    """The state after `event`. Raises IllegalMove."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalMove(f"{event} can't happen to an incident that is {state}") from None
