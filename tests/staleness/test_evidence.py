"""The usual interval of a sensor, computed from a real store."""

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


def store_heartbeats(store: SqliteStore, mac: int, *ago: int, live: bool = True) -> int:
    """Store heartbeats this many ms before NOW; the time of the newest."""
    store.append([Heartbeat(mac, NOW - each, NOW - each, live) for each in ago])
    return NOW - min(ago)


def test_usual_interval_is_the_median(store: FailingStore) -> None:
    ago = [11 * MINUTE + n * MINUTE for n in range(20) if n not in (7, 8)]
    seen = store_heartbeats(store, 1, *ago)
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {1: MINUTE}


def test_too_few_heartbeats_give_no_interval(store: FailingStore) -> None:
    seen = store_heartbeats(store, 1, 11 * MINUTE, 12 * MINUTE, 13 * MINUTE)
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {}


def test_history_does_not_count_for_the_interval(store: FailingStore) -> None:
    seen = store_heartbeats(store, 1, *(11 * MINUTE + n * 5 * MINUTE for n in range(8)))
    store_heartbeats(store, 1, *(11 * MINUTE + n * SECOND for n in range(1, 90)), live=False)
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {1: 5 * MINUTE}


def test_unavailable_store_does_not_delay_alerts(store: FailingStore) -> None:
    seen = store_heartbeats(store, 1, *(11 * MINUTE + n * MINUTE for n in range(20)))
    store.failing = "heartbeats"
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {}


def test_only_the_longest_silent_sensors_are_looked_up(store: FailingStore) -> None:
    silent = {
        mac: (
            store_heartbeats(store, mac, *(11 * MINUTE + mac + n * MINUTE for n in range(5))),
            THRESHOLD,
        )
        for mac in range(1, MOST + 20)
    }
    assert usual_intervals(store, silent, NOW).keys() == set(range(20, MOST + 20))


def test_silence_of_several_days_is_not_looked_up(store: FailingStore) -> None:
    seen = store_heartbeats(store, 1, *(3 * DAY + n * MINUTE for n in range(5)))
    assert usual_intervals(store, {1: (seen, THRESHOLD)}, NOW) == {}
