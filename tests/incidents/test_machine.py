import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents.machine import CLOSING, Event, IllegalMove, State, move, state_of


@given(st.lists(st.sampled_from(list(Event)), max_size=10))
def test_a_closed_incident_never_moves_again(events: list[Event]) -> None:
    state = State.OPEN
    for event in events:
        if state is State.CLOSED:
            with pytest.raises(IllegalMove):
                move(state, event)
            continue
        try:
            state = move(state, event)
        except IllegalMove:
            assert (state, event) == (State.ACKNOWLEDGED, Event.ACKNOWLEDGE)


@pytest.mark.parametrize("event", sorted(CLOSING))
def test_acknowledged_or_not_every_end_closes(event: Event) -> None:
    assert move(State.OPEN, event) is State.CLOSED
    assert move(State.ACKNOWLEDGED, event) is State.CLOSED


def test_the_stored_moments_tell_the_state() -> None:
    assert state_of(None, None) is State.OPEN
    assert state_of(5, None) is State.ACKNOWLEDGED
    assert state_of(5, 9) is State.CLOSED
