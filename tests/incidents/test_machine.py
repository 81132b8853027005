import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents.machine import CLOSING, Event, IllegalMove, IncidentState, move, state_of


@given(st.lists(st.sampled_from(list(Event)), max_size=10))
def test_closed_incident_has_no_transitions(events: list[Event]) -> None:
    state = IncidentState.OPEN
    for event in events:
        if state is IncidentState.CLOSED:
            with pytest.raises(IllegalMove):
                move(state, event)
            continue
        try:
            state = move(state, event)
        except IllegalMove:
            assert (state, event) == (IncidentState.ACKNOWLEDGED, Event.ACKNOWLEDGE)


@pytest.mark.parametrize("event", sorted(CLOSING))
def test_every_closing_event_closes_open_and_acknowledged_incidents(event: Event) -> None:
    assert move(IncidentState.OPEN, event) is IncidentState.CLOSED
    assert move(IncidentState.ACKNOWLEDGED, event) is IncidentState.CLOSED


def test_state_follows_from_the_stored_times() -> None:
    assert state_of(None, None) is IncidentState.OPEN
    assert state_of(5, None) is IncidentState.ACKNOWLEDGED
    assert state_of(5, 9) is IncidentState.CLOSED
