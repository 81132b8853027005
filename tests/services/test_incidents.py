"""Acknowledging incidents."""

import threading

import pytest
from sqlalchemy import Engine, select

from monitor.model import MINUTE
from monitor.services.incidents import Acknowledged, acknowledge
from monitor.state import incidents, sensors
from monitor.state.database import reading, writing
from monitor.state.tables import incident
from tests.cases import NOW, Cases


@pytest.fixture
def cases(state: Engine) -> Cases:
    return Cases(state)


def test_only_open_incidents_are_acknowledged_and_the_others_are_listed(
    state: Engine, cases: Cases
) -> None:
    group = cases.group()
    fresh = cases.incident(1, group)
    earlier = cases.incident(2, group, acknowledged_at=NOW, acknowledged_by="the night shift")
    over = cases.incident(3, group, closed_at=NOW, closed_reason="recovered")
    with writing(state) as connection:
        before = sensors.current_version(connection)
    outcome = acknowledge(state, "email by link", [over, 999, fresh, earlier], NOW + 5)
    assert outcome == Acknowledged([fresh], [earlier], [over], [999])
    with reading(state) as connection:
        rows = connection.execute(select(incident).order_by(incident.c.id)).all()
    changed = list(incidents.newer(state, before))
    assert [(row.acknowledged_at, row.acknowledged_by) for row in rows] == [
        (NOW + 5, "email by link"),
        (NOW, "the night shift"),
        (None, None),
    ]
    assert [row.id for row in changed] == [fresh]


def test_acknowledging_again_changes_nothing(state: Engine, cases: Cases) -> None:
    number = cases.incident(1, cases.group())
    for at, by in ((NOW, "first"), (NOW + MINUTE, "second")):
        acknowledge(state, by, [number, number], at)
    with reading(state) as connection:
        row = connection.execute(select(incident)).one()
    assert (row.acknowledged_at, row.acknowledged_by) == (NOW, "first")


def test_acknowledging_waits_while_a_message_is_frozen(state: Engine, cases: Cases) -> None:
    """Freezing holds the group's lock: the message includes the incident, or it is acknowledged."""
    group = cases.group()
    number = cases.incident(1, group)
    done = threading.Event()

    def person() -> None:
        acknowledge(state, "anna", [number], NOW)
        done.set()

    with writing(state) as connection:
        incidents.lock_groups(connection, [group])
        thread = threading.Thread(target=person)
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert done.is_set()
