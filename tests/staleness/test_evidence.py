"""How often a sensor was usually heard, asked of a real store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.model import DAY, MINUTE, SECOND, Heartbeat
from monitor.staleness.evidence import MOST, usual_intervals
from monitor.store.sqlite import SqliteStore
from tests.staleness.test_sweep import FailingStore

NOW = 1_800_000_000_000
THRESHOLD = 10 * MINUTE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FailingStore]:
    store = FailingStore(tmp_path / "heartbeats.sqlite", 30 * DAY, writable=True)
    store.migrate()
    yield store
    store.close()


def hear(store: SqliteStore, mac: int, *ago: int, live: bool = True) -> int:
    """Heartbeats so many ms before NOW; when the last one was."""
    store.append([Heartbeat(mac, NOW - each, NOW - each, live) for each in ago])
    return NOW - min(ago)


def test_it_is_the_median_so_that_one_gap_does_not_count(store: FailingStore) -> None:
    ago = [11 * MINUTE + n * MINUTE for n in range(20) if n not in (7, 8)]
    seen = hear(store, 1, *ago)
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {1: MINUTE}


def test_few_heartbeats_make_no_habit(store: FailingStore) -> None:
    seen = hear(store, 1, 11 * MINUTE, 12 * MINUTE, 13 * MINUTE)
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {}


def test_history_sent_later_tells_nothing_of_the_sensors_habit(store: FailingStore) -> None:
    seen = hear(store, 1, *(11 * MINUTE + n * 5 * MINUTE for n in range(8)))
    hear(store, 1, *(11 * MINUTE + n * SECOND for n in range(1, 90)), live=False)
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {1: 5 * MINUTE}


def test_a_store_that_does_not_answer_delays_no_alarm(store: FailingStore) -> None:
    seen = hear(store, 1, *(11 * MINUTE + n * MINUTE for n in range(20)))
    store.failing = "heartbeats"
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {}


def test_of_many_the_longest_silent_are_looked_up(store: FailingStore) -> None:
    silent = {
        mac: (hear(store, mac, *(11 * MINUTE + mac + n * MINUTE for n in range(5))), THRESHOLD)
        for mac in range(1, MOST + 20)
    }
    assert usual_intervals(store, silent, NOW).keys() == set(range(20, MOST + 20))


def test_a_silence_of_days_is_not_looked_into(store: FailingStore) -> None:
    seen = hear(store, 1, *(3 * DAY + n * MINUTE for n in range(5)))
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {}
