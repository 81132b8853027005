"""The life of an incident as a transition table; an illegal move raises and changes nothing."""

from enum import StrEnum


class State(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to it; the value of a closing event is the recorded reason."""

    ACKNOWLEDGE = "acknowledge"
    RECOVER = "recovered"
    CHANGE_THRESHOLD = "threshold changed"
    PAUSE = "paused"
    FORGET = "forgotten"


class IllegalMove(Exception):
    """The event can't happen in this state."""


CLOSING = frozenset({Event.RECOVER, Event.CHANGE_THRESHOLD, Event.PAUSE, Event.FORGET})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.ACKNOWLEDGE): State.ACKNOWLEDGED,
    **{
        (state, event): State.CLOSED
        for state in (State.OPEN, State.ACKNOWLEDGED)
        for event in CLOSING
    },
}


def state_of(acknowledged_at: int | None, closed_at: int | None) -> State:
    """The state that a stored incident's moments stand for."""
    if closed_at is not None:
        return State.CLOSED
    return State.OPEN if acknowledged_at is None else State.ACKNOWLEDGED


def move(state: State, event: Event) -> State:
    """The state after `event`. Raises IllegalMove."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalMove(f"{event} can't happen to an incident that is {state}") from None
