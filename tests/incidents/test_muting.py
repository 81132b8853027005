"""Which incidents silences and maintenance hold."""

import threading
import time

import pytest
from sqlalchemy import Engine, update

from monitor.incidents import muting
from monitor.model import DAY, HOUR, MINUTE, Held, Member, format_mac
from monitor.state import silences
from monitor.state.database import reading, writing
from monitor.state.tables import maintenance
from tests.outages import NOW
from tests.states import state, state_url
from tests.waiting import eventually

__all__ = ["state", "state_url"]

T = 10 * MINUTE
HALL = ["site=Hall"]


def member(mac: int = 1, site: str = "Hall", opened_at: int = NOW, threshold: int = T) -> Member:
    return Member(mac, None, site, opened_at - threshold, threshold, True, opened_at, None)


def silence(state: Engine, starts_at: int, ends_at: int, matchers: list[str] = HALL) -> int:
    with writing(state) as connection:
        return silences.add_silence(connection, matchers, starts_at, ends_at, "why", "anna", NOW)


def maintain(state: Engine, start: str, stop: str, rule: str | None = None) -> int:
    """Add maintenance; the times are in UTC. NOW is 2026-11-23T01:02Z."""
    with writing(state) as connection:
        return silences.add_maintenance(
            connection, "paint", HALL, "UTC", f"2026-11-{start}", f"2026-11-{stop}", rule, "bo", NOW
        )


def held(state: Engine, *members: Member, kind: str = "down", now: int = NOW) -> dict[int, Held]:
    with writing(state) as connection:
        return muting.held(connection, dict(enumerate(members)), kind, now)


def until(state: Engine, held_member: Member, kind: str = "down", now: int = NOW) -> int | None:
    found = held(state, held_member, kind=kind, now=now)
    return found[0].until if found else None


def test_no_incident_is_held_without_silences(state: Engine) -> None:
    assert held(state, member()) == held(state) == {}


@pytest.mark.parametrize("kind", ["down", "reminder", "flapping", "recovered"])
def test_silence_holds_every_kind_of_message_about_matching_sensors_until_its_end(
    state: Engine, kind: str
) -> None:
    number = silence(state, NOW - MINUTE, NOW + HOUR)
    found = held(state, member(), member(2, "Yard"), kind=kind)
    assert found == {0: Held(NOW + HOUR, f"silence {number} (why)")}
    assert held(state, member(), kind=kind, now=NOW + HOUR) == {}
    assert held(state, member(), kind=kind, now=NOW - HOUR) == {}


def test_overlapping_silences_and_windows_hold_until_the_last_end(state: Engine) -> None:
    silence(state, NOW - HOUR, NOW + HOUR)
    maintain(state, "23T01:30", "23T04:00")
    silence(state, NOW + 2 * HOUR, NOW + 5 * HOUR)
    silence(state, NOW + 6 * HOUR, NOW + 9 * HOUR)
    assert until(state, member()) == NOW + 5 * HOUR


# The window is 00:02 to 02:02: from an hour before NOW to an hour after.
START, STOP = NOW - HOUR, NOW + HOUR


@pytest.mark.parametrize(
    ("kind", "opened_at", "expected"),
    [
        ("down", START - 1, STOP),
        ("reminder", START - DAY, STOP),
        ("down", START, STOP + T),
        ("flapping", NOW, STOP + T),
        ("recovered", NOW, STOP),
        ("recovered", START - DAY, STOP),
    ],
)
def test_maintenance_holds_incidents_opened_during_it_a_threshold_longer(
    state: Engine, kind: str, opened_at: int, expected: int
) -> None:
    number = maintain(state, "23T00:02", "23T02:02")
    held_member = member(opened_at=opened_at)
    assert held(state, held_member, kind=kind) == {
        0: Held(expected, f"maintenance {number} (paint)")
    }


def test_window_holds_incidents_for_a_threshold_after_its_end(state: Engine) -> None:
    maintain(state, "23T00:02", "23T02:02")
    in_time, late = member(opened_at=STOP + T - 1), member(opened_at=STOP + T)
    assert until(state, in_time, now=STOP + T - 1) == STOP + T
    assert until(state, in_time, now=STOP + T) is None
    assert until(state, late, now=STOP + T) is None
    assert until(state, in_time, kind="recovered", now=STOP) is None
    before = member(opened_at=START - 1)
    assert until(state, before, now=STOP) is None
    patient = member(opened_at=NOW, threshold=3 * DAY)
    assert until(state, patient, now=STOP + 2 * DAY) == STOP + 3 * DAY


def test_window_is_extended_by_a_following_one(state: Engine) -> None:
    maintain(state, "23T00:02", "23T01:00")
    maintain(state, "23T01:05", "23T02:02")
    assert until(state, member(opened_at=START + MINUTE)) == STOP + T
    assert until(state, member(opened_at=START - MINUTE)) is None
    assert until(state, member(opened_at=START - MINUTE), now=NOW + HOUR // 2) == STOP


def test_recurring_window_holds_each_time(state: Engine) -> None:
    maintain(state, "01T00:02", "01T02:02", "FREQ=DAILY")
    assert until(state, member()) == STOP + T
    assert until(state, member(opened_at=START - 2 * HOUR)) == STOP
    assert until(state, member(opened_at=START - 2 * HOUR), now=NOW + 2 * HOUR) is None
    assert until(state, member(opened_at=NOW), now=NOW + 5 * DAY) == STOP + 5 * DAY


def test_windows_without_a_gap_hold_for_days_and_are_checked_again(state: Engine) -> None:
    maintain(state, "01T00:00", "02T00:00", "FREQ=DAILY")
    found = until(state, member())
    assert found is not None
    assert found > NOW + DAY
    assert until(state, member(), now=found) is not None


def test_maintenance_ended_early_holds_a_threshold_after_its_actual_end(state: Engine) -> None:
    number = maintain(state, "23T00:02", "23T02:02")
    with writing(state) as connection:
        silences.end_maintenance(connection, number, NOW)
    assert until(state, member(opened_at=NOW - MINUTE)) == NOW + T
    assert until(state, member(opened_at=START - 1)) is None
    assert until(state, member(opened_at=NOW - MINUTE), kind="recovered") is None


def test_unreadable_silences_and_maintenance_hold_no_messages(
    state: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    maintain(state, "23T00:02", "23T02:02")
    silence(state, NOW - HOUR, NOW + HOUR, [state.dialect.name])
    with writing(state) as connection:
        connection.execute(update(maintenance).values(zone=state.dialect.name))
    assert held(state, member()) == {}
    assert "silence 1 can't be read" in caplog.text
    assert "maintenance 1 can't be read" in caplog.text


def test_covering_finds_what_mutes_a_sensor_now(state: Engine) -> None:
    maintain(state, "23T00:02", "23T02:02")
    number = silence(state, NOW - HOUR, NOW + DAY, ["mac=00:00:00:00:00:0*"])
    with reading(state) as connection:
        rules = silences.in_force(connection, NOW, NOW)
        later = silences.in_force(connection, STOP, STOP)
    found = muting.covering(rules, [member(1), member(2, "Yard"), member(16, "Yard")], NOW)
    why = f"silence {number} (why)"
    assert found == {1: Held(NOW + DAY, why), 2: Held(NOW + DAY, why)}
    assert muting.covering(later, [member(16)], STOP) == {}


def test_ten_thousand_members_are_checked_quickly(state: Engine) -> None:
    members = [member(mac, f"Site {mac % 50}") for mac in range(10_000)]
    for mac in range(200):
        silence(state, NOW, NOW + 1, [f"mac={format_mac(mac)}|{format_mac(mac + 1)}"])
    for n in range(20):
        silence(state, NOW - HOUR, NOW + HOUR, [f"site=Site {n}", "severity=critical"])
        maintain(state, "01T00:02", "01T02:02", "FREQ=DAILY")
    silence(state, NOW, NOW + 1, ["mac=" + "|".join(format_mac(mac) for mac in range(5_000))])
    began = time.process_time()
    assert len(held(state, *members)) == 7_000
    assert time.process_time() - began < 2


def test_ending_a_silence_waits_for_a_running_decision(state: Engine) -> None:
    """Otherwise a message could be held until the original end of a silence that was ended."""
    number = silence(state, NOW - HOUR, NOW + HOUR)
    ended = threading.Event()

    def end() -> None:
        with writing(state) as connection:
            silences.end_silence(connection, number, NOW)
        ended.set()

    with writing(state) as connection:
        assert muting.held(connection, {1: member()}, "down", NOW)
        ending = threading.Thread(target=end)
        ending.start()
        assert not ended.wait(0.3)
    eventually(ended.is_set, 10)
    ending.join()
    assert held(state, member()) == {}
