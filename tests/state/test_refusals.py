from sqlalchemy import Engine

from monitor.model import MINUTE, SECOND
from monitor.refusal import INVALID, UNAUTHORIZED, WRONG_HOST
from monitor.state import refusals, sensors
from monitor.state.database import reading, writing
from monitor.state.refusals import Refused

NOW = 1_800_000_000_000


def record(state: Engine, last: dict[int, Refused], now: int = NOW, **counts: int) -> None:
    with writing(state) as connection:
        refusals.record(connection, last, counts, now)


def test_last_refusal_of_a_sensor_replaces_the_one_before(state: Engine) -> None:
    record(state, {1: Refused(NOW, INVALID), 2: Refused(NOW, WRONG_HOST)})
    record(state, {1: Refused(NOW + 1, UNAUTHORIZED)})
    with reading(state) as connection:
        assert refusals.last(connection, 1) == Refused(NOW + 1, UNAUTHORIZED)
        assert refusals.last(connection, 2) == Refused(NOW, WRONG_HOST)
        assert refusals.last(connection, 3) is None


def test_only_recent_refusals_by_our_fault_excuse_silence(state: Engine) -> None:
    record(state, {1: Refused(NOW, UNAUTHORIZED), 2: Refused(NOW, INVALID)})
    with reading(state) as connection:
        assert refusals.by_our_fault(connection, [1, 2, 3], NOW, NOW) == {1: NOW}
        assert refusals.by_our_fault(connection, [2, 3], NOW, NOW) == {}
        assert refusals.by_our_fault(connection, [1], NOW + 1, NOW + 2) == {}
        assert refusals.by_our_fault(connection, [1], 0, NOW - 1) == {}


def test_counts_of_the_last_minute_are_added_up(state: Engine) -> None:
    record(state, {}, NOW, unauthorized=3, invalid=1)
    record(state, {}, NOW + 30 * SECOND, unauthorized=4, host=1)
    with reading(state) as connection:
        assert refusals.recent_counts(connection, NOW + 40 * SECOND) == {
            UNAUTHORIZED: 7,
            WRONG_HOST: 1,
        }
        assert refusals.recent_counts(connection, NOW + MINUTE) == {UNAUTHORIZED: 4, WRONG_HOST: 1}
        assert refusals.recent_counts(connection, NOW + 2 * MINUTE) == {}


def test_forgotten_sensor_has_no_refusal(state: Engine) -> None:
    record(state, {1: Refused(NOW, UNAUTHORIZED)})
    with writing(state) as connection:
        version = sensors.next_version(connection)
        sensors.register(connection, [(1, NOW, True)], version)
        sensors.forget(connection, 1, version)
    with reading(state) as connection:
        assert refusals.last(connection, 1) is None
