"""Old rows are deleted in batches; the other rows and the counters stay complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, event, func, insert, select, update

from monitor.model import DAY, HOUR
from monitor.state import leases, logins, retention, silences, tally
from monitor.state.access_tables import audit, login
from monitor.state.database import reading, writing
from monitor.state.leases import Lease, LeaseLost
from monitor.state.retention import RetentionConfig
from monitor.state.tables import (
    alert_group,
    attempt,
    incident,
    maintenance,
    notification,
    notification_incident,
    pause,
    silence,
    suppression,
)
from monitor.state.tables import tally as tally_table
from tests.cases import NOW, Cases
from tests.counting import counted, recount
from tests.web.visitors import add_user

KEPT = RetentionConfig(incidents=400 * DAY, audit=100 * DAY)
LATER = NOW + 410 * DAY
OVER = {"closed_at": NOW, "closed_reason": "recovered", "recovered_at": NOW}
SENT: dict[str, Any] = {"state": "sent", "finished_at": NOW}


@pytest.fixture
def lease(state: Engine) -> Lease:
    lease = leases.acquire(state, "scheduler", "me", HOUR)
    assert lease
    return lease


def past(cases: Cases, number_of_incidents: int = 1, **values: Any) -> int:
    """A closed group with one message for each of its incidents; the id of the group."""
    group = cases.group()
    for mac in range(number_of_incidents):
        one = cases.incident(mac + 1, group, **{**OVER, **values})
        cases.message(group, [one], [(NOW, "retry", "451"), (NOW, "sent", None)], **SENT)
        cases.suppress(one, "silenced")
    with writing(cases.state) as connection:
        connection.execute(update(alert_group).values(closed_at=values.get("closed_at", NOW)))
    return group


def prune(state: Engine, lease: Lease, now: int = LATER) -> int:
    return retention.prune(state, lease, KEPT, now, lambda: True)


def rows(state: Engine, *tables: Table) -> list[int]:
    with reading(state) as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        ]


EVERY = (
    alert_group,
    incident,
    notification,
    notification_incident,
    attempt,
    suppression,
)


def test_old_incidents_are_deleted_with_their_dependent_rows(state: Engine, lease: Lease) -> None:
    past(Cases(state), 3)
    assert prune(state, lease, NOW + 399 * DAY) == 0
    assert rows(state, *EVERY) == [1, 3, 3, 3, 6, 3]
    prune(state, lease)
    assert rows(state, *EVERY) == [0, 0, 0, 0, 0, 0]


def test_open_incidents_and_their_messages_are_kept(state: Engine, lease: Lease) -> None:
    cases = Cases(state)
    group = cases.group()
    over, still = cases.incident(1, group, **OVER), cases.incident(2, group)
    cases.message(group, [over, still], [(NOW, "sent", None)], **SENT)
    cases.message(group, [over], **SENT)
    cases.message(group)
    prune(state, lease)
    with reading(state) as connection:
        assert list(connection.scalars(select(incident.c.id))) == [still]
        members = connection.execute(select(notification_incident)).all()
    assert [row.incident_id for row in members] == [still]
    assert rows(state, alert_group, notification, attempt) == [1, 2, 1]


def test_counters_keep_their_values_after_deletion(state: Engine, lease: Lease) -> None:
    past(Cases(state), 3)
    recount(state)
    before = counted(state)
    assert before["finished"] == {("email", "down", "sent"): 3}
    prune(state, lease)
    assert counted(state) == before


def test_old_rows_of_other_tables_are_deleted_and_current_ones_kept(
    state: Engine, lease: Lease
) -> None:
    user = add_user(state, "Olga")
    once, daily = ("UTC", "2026-11-23T00:00", "2026-11-23T01:00"), "FREQ=DAILY"
    with writing(state) as connection:
        for at in (NOW, LATER):
            values = {"at": at, "who": "me", "what": "x", "subject": "x", "detail": {}}
            connection.execute(insert(audit).values(**values))
            silences.add_silence(connection, ["mac=*"], at, at + HOUR, "why", "me", at)
            logins.start(connection, user, at)
        connection.execute(insert(pause), [{"mac": 1, "start": NOW, "stop": NOW + 1}])
        connection.execute(insert(pause), [{"mac": 1, "start": NOW + 2, "stop": None}])
        for rule in (None, daily):
            silences.add_maintenance(connection, "x", ["mac=*"], *once, rule, "me", NOW)
    prune(state, lease)
    assert rows(state, audit, silence, login, pause, maintenance) == [1, 1, 1, 1, 1]
    with reading(state) as connection:
        assert connection.scalars(select(maintenance.c.recurrence)).all() == [daily]
        assert connection.scalars(select(pause.c.stop)).all() == [None]


def test_former_leader_deletes_nothing(state: Engine, lease: Lease) -> None:
    past(Cases(state))
    leases.release(state, lease)
    with pytest.raises(LeaseLost):
        prune(state, lease)
    assert rows(state, *EVERY) == [1, 1, 1, 1, 2, 1]


@contextmanager
def statements(state: Engine) -> Iterator[list[int]]:
    """The number of rows that each transaction deleted."""
    deleted = [0]

    def begin(_connection: Connection) -> None:
        deleted.append(0)

    def after(_connection: Any, cursor: Any, statement: str, *_given: Any) -> None:
        if statement.startswith("DELETE"):
            deleted[-1] += cursor.rowcount

    event.listen(state, "begin", begin)
    event.listen(state, "after_cursor_execute", after)
    yield deleted
    event.remove(state, "begin", begin)
    event.remove(state, "after_cursor_execute", after)


def test_large_group_is_deleted_in_batches(
    state: Engine, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    past(Cases(state), 30)
    monkeypatch.setattr(retention, "_ROWS", 5)
    with statements(state) as deleted:
        prune(state, lease)
    assert rows(state, *EVERY) == [0, 0, 0, 0, 0, 0]
    assert max(deleted) == 15  # five incidents or messages, with their dependent rows
    assert sum(deleted) == 30 * 6 + 1


def test_pruning_stops_on_request(state: Engine, lease: Lease) -> None:
    past(Cases(state), 3)
    assert retention.prune(state, lease, KEPT, LATER, lambda: False) == 3
    assert rows(state, incident, notification) == [0, 3]


def test_merged_counters_keep_their_values(
    state: Engine, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MERGED", 7)
    for n in range(20):
        with writing(state) as connection:
            tally.add(connection, "attempts", {("mail", "sent"): 1, ("“x\n", "retry"): n})
            tally.add_latencies(connection, "told", ("mail",), [n * 1_000, 4_000_000])
    before = counted(state)
    assert before["attempts"] == {("mail", "sent"): 20, ("“x\n", "retry"): 190}
    assert before["told"]["mail", "14"] == 20
    prune(state, lease)
    assert counted(state) == before
    assert rows(state, tally_table) == [sum(map(len, before.values()))]
    assert not tally.can_be_merged(state)


def test_upgrade_counts_existing_rows(state: Engine) -> None:
    cases = Cases(state)
    past(cases, 2)
    recount(state)
    found = counted(state)
    assert found["opened"] == {("proven",): 2}
    assert found["closed"] == {("recovered",): 2}
    assert found["attempts"] == {("email", "retry"): 2, ("email", "sent"): 2}
    assert found["suppressions"] == {("email", "down"): 2}
    assert found["decided"] == {("7",): 2, ("total",): 2 * 60_000}
    assert "delivered" not in found  # it was held back
