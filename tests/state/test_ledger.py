"""Queries of the ledger."""

from typing import Any

import pytest
from sqlalchemy import Engine

from monitor.model import MINUTE, SECOND, Attempt, Suppression
from monitor.state import ledger
from monitor.state.database import reading
from tests.cases import NOW, Cases


@pytest.fixture
def cases(state: Engine) -> Cases:
    return Cases(state)


def test_incidents_are_found_by_sensor_site_state_and_time(state: Engine, cases: Cases) -> None:
    cases.sensor(1, name="Boiler", site="Harbour")
    cases.sensor(2, site="Mill")
    group = cases.group()
    first = cases.incident(1, group, closed_at=NOW + MINUTE, closed_reason="recovered")
    second = cases.incident(2, group)
    third = cases.incident(1, group, opened_at=NOW + 2 * MINUTE)
    stranger = cases.incident(3, group)

    def numbers(limit: int = 10, **conditions: Any) -> list[int]:
        with reading(state) as connection:
            return [case.id for case in ledger.cases(connection, limit, **conditions)]

    assert numbers() == [stranger, third, second, first]
    assert numbers(2) == [stranger, third]
    assert numbers(before=third) == [second, first]
    assert numbers(mac=1) == [third, first]
    assert numbers(site="Mill") == [second]
    assert numbers(still_open=True) == [stranger, third, second]
    assert numbers(still_open=False) == [first]
    assert numbers(since=NOW + MINUTE + 1) == [stranger, third, second]
    assert numbers(site="Harbour", still_open=False, since=NOW + MINUTE) == [first]
    assert numbers(text="boil harb") == [third, first]
    assert numbers(text="00:00:02") == [second]
    with reading(state) as connection:
        case = ledger.find(connection, first)
        assert ledger.find(connection, 999) is None
    assert case is not None
    assert (case.name, case.site, case.closed_reason) == ("Boiler", "Harbour", "recovered")


def test_incident_has_its_notified_channels_and_the_other_members_of_its_group(
    state: Engine, cases: Cases
) -> None:
    group = cases.group()
    known = {"acknowledged_at": NOW, "acknowledged_by": "Anna"}
    first = cases.incident(1, group, last_seen=NOW - 10 * MINUTE, **known)
    second = cases.incident(2, group, last_seen=NOW - 30 * MINUTE)
    third = cases.incident(3, group, last_seen=NOW - 20 * MINUTE)
    over = cases.incident(4, cases.group("another"), closed_at=NOW, **known)
    with reading(state) as connection:
        assert ledger.open_ones(connection) == (3, 1)
        found = ledger.cases(connection, 9, acknowledged=True)
        assert [case.id for case in found] == [over, first]
        assert len(ledger.cases(connection, 9, acknowledged=False)) == 2
        count, others = ledger.neighbours(connection, first, 1)
        assert (count, [case.id for case in others]) == (2, [second])
        assert ledger.neighbours(connection, over, 9) == (0, [])
        assert [case.id for case in ledger.named(connection, [third, 999])] == [third]


def test_messages_come_with_their_attempts_and_subject(state: Engine, cases: Cases) -> None:
    group = cases.group()
    cases.incident(9, group, closed_at=NOW - 1)  # so that ids of different tables differ
    notified, other = cases.incident(1, group), cases.incident(2, group)
    tries = [(NOW + 31 * SECOND, "retry", "451 later"), (NOW + 61 * SECOND, "sent", None)]
    first = cases.message(group, [notified], tries, state="sent", finished_at=NOW + 61 * SECOND)
    second = cases.message(group, channel="sms")
    cases.suppress(other, "silenced: works", until=NOW + MINUTE)
    with reading(state) as connection:
        found = ledger.cases(connection, 10)
        facts = {fact.case.id: fact for fact in ledger.facts(connection, found)}
        message = ledger.message(connection, first)
        assert ledger.message(connection, second) is None
        assert ledger.message(connection, 999) is None
    assert message is not None
    assert (message.channel, message.kind, message.subject) == ("email", "down", "Boiler silent")
    assert [case.id for case in message.cases] == [notified]
    sendings = facts[notified].sendings
    assert [(row.id, row.includes_incident, row.subject) for row in sendings] == [
        (first, True, "Boiler silent"),
        (second, False, None),
    ]
    assert sendings[0].attempts == [Attempt(*one) for one in tries]
    assert [row.includes_incident for row in facts[other].sendings] == [False, False]
    assert facts[other].suppressions == [
        Suppression("email", "down", NOW, "silenced: works", NOW + MINUTE)
    ]


def test_messages_of_the_group_before_and_after_an_incident_are_excluded(
    state: Engine, cases: Cases
) -> None:
    group = cases.group()
    earlier = cases.incident(1, group, closed_at=NOW + MINUTE, closed_reason="recovered")
    later = cases.incident(1, group, opened_at=NOW + 10 * MINUTE)
    cases.message(group, [earlier], state="sent", finished_at=NOW + 31 * SECOND)
    cases.message(group, state="cancelled", finished_at=NOW + 2 * MINUTE, channel="sms")
    cases.message(group, created_at=NOW + 10 * MINUTE)
    with reading(state) as connection:
        facts = ledger.facts(connection, ledger.cases(connection, 10))
    assert [(fact.case.id, len(fact.sendings)) for fact in facts] == [(later, 1), (earlier, 2)]


def test_many_incidents_are_read_in_few_queries(state: Engine, cases: Cases) -> None:
    group = cases.group()
    for mac in range(3):
        cases.incident(mac, group)
    with reading(state) as connection:
        found = ledger.cases(connection, 10)
        repeated = [found[number % 3] for number in range(1_200)]
        assert len(ledger.facts(connection, repeated)) == 1_200
