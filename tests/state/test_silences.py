"""Silences and maintenance in the state, and the messages that they hold."""

from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from monitor.model import DAY, HOUR, MINUTE
from monitor.state import silences
from monitor.state.database import reading, writing
from monitor.state.tables import alert_group, notification
from tests.outages import NOW


def add_silence(state: Engine, starts_at: int = NOW, ends_at: int = NOW + HOUR) -> int:
    with writing(state) as connection:
        return silences.add_silence(
            connection, ["site=Hall", "mac=*"], starts_at, ends_at, "new switch", "anna", NOW
        )


def add_maintenance(state: Engine, stop: str, recurrence: str | None = None) -> int:
    with writing(state) as connection:
        return silences.add_maintenance(
            connection, "paint", ["mac=*"], "UTC", "2026-11-01T00:00", stop, recurrence, "bo", NOW
        )


def in_force(state: Engine, since: int, now: int) -> tuple[list[int], list[int]]:
    with reading(state) as connection:
        found, planned = silences.in_force(connection, since, now)
    return [row.id for row in found], [row.id for row in planned]


def enqueue(engine: Engine, **values: Any) -> int:
    row = {
        "key": str(values),
        "channel": "email",
        "kind": "down",
        "state": "pending",
        "created_at": NOW,
        "next_attempt_at": NOW + DAY,
    }
    with writing(engine) as connection:
        group = connection.execute(
            insert(alert_group)
            .values(cohort=str(values), opened_at=NOW)
            .returning(alert_group.c.id)
        ).scalar_one()
        added = insert(notification).values(group_id=group, **(row | values))
        return int(connection.execute(added.returning(notification.c.id)).scalar_one())


def due(state: Engine, number: int) -> int:
    with reading(state) as connection:
        query = select(notification.c.next_attempt_at).where(notification.c.id == number)
        return int(connection.execute(query).scalar_one())


def test_silence_is_read_as_it_was_added(state: Engine) -> None:
    number = add_silence(state)
    with reading(state) as connection:
        assert silences.find_silence(connection, number) == silences.SilenceRow(
            number, ("site=Hall", "mac=*"), NOW, NOW + HOUR, "new switch", "anna", NOW
        )
        assert silences.find_silence(connection, number + 1) is None


def test_maintenance_is_read_as_it_was_added(state: Engine) -> None:
    number = add_maintenance(state, "2026-11-02T00:00", "FREQ=WEEKLY")
    with reading(state) as connection:
        row = silences.find_maintenance(connection, number)
        assert silences.newest_maintenance(connection) == [row]
    assert row == silences.MaintenanceRow(
        *(number, "paint", ("mac=*",), "UTC", "2026-11-01T00:00", "2026-11-02T00:00"),
        *("FREQ=WEEKLY", "bo", NOW, None),
    )


def test_silence_is_in_force_until_it_ends(state: Engine) -> None:
    running = add_silence(state)
    coming = add_silence(state, NOW + DAY, NOW + 2 * DAY)
    over = add_silence(state, NOW - HOUR, NOW)
    assert in_force(state, NOW, NOW) == ([running, coming], [])
    with reading(state) as connection:
        assert [row.id for row in silences.past_silences(connection, NOW)] == [over]


def test_maintenance_is_in_force_while_a_window_may_end_after_the_given_time(
    state: Engine,
) -> None:
    # NOW is on 2026-11-23; a day more or less covers any time zone.
    add_maintenance(state, "2026-11-20T00:00")
    recent = add_maintenance(state, "2026-11-22T12:00")
    weekly = add_maintenance(state, "2026-11-01T12:00", "FREQ=WEEKLY")
    ended = add_maintenance(state, "2026-11-30T00:00")
    with writing(state) as connection:
        assert silences.end_maintenance(connection, ended, NOW)
        assert not silences.end_maintenance(connection, ended, NOW)
    assert in_force(state, NOW, NOW)[1] == [recent, weekly]
    assert in_force(state, NOW - MINUTE, NOW)[1] == [recent, weekly, ended]


@pytest.mark.parametrize("starts_at", [NOW - HOUR, NOW + MINUTE])
def test_silence_can_be_ended_before_and_after_its_start(state: Engine, starts_at: int) -> None:
    number = add_silence(state, starts_at, NOW + HOUR)
    with writing(state) as connection:
        assert silences.end_silence(connection, number, NOW)
        assert not silences.end_silence(connection, number, NOW)
        row = silences.find_silence(connection, number)
    assert row is not None
    assert (row.starts_at, row.ends_at) == (min(starts_at, NOW), NOW)
    assert in_force(state, NOW, NOW) == ([], [])


@pytest.mark.parametrize("kind", ["silence", "maintenance"])
def test_ending_a_silence_releases_only_the_messages_it_held(state: Engine, kind: str) -> None:
    held = enqueue(state, held_until=NOW + DAY)
    waiting = enqueue(state)
    done = enqueue(state, held_until=NOW + DAY, state="sent")
    silenced, maintained = add_silence(state), add_maintenance(state, "2026-11-30T00:00")
    with writing(state) as connection:
        if kind == "silence":
            silences.end_silence(connection, silenced, NOW + MINUTE)
        else:
            silences.end_maintenance(connection, maintained, NOW + MINUTE)
    assert due(state, held) == NOW + MINUTE
    assert due(state, waiting) == due(state, done) == NOW + DAY
