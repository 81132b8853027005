"""Gaps between heartbeats and the newest heartbeats, in every store."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat
from monitor.store.interface import Gap, Store
from tests.store.beats import NOW, history, live


def test_gap_is_between_neighbours_further_apart_than_the_limit(store: Store) -> None:
    moments = [0, 5, 10, 20, 25, 36]
    store.append([live(1, NOW + moment * MINUTE) for moment in moments])
    found = store.gaps([1], NOW, NOW + 37 * MINUTE, 10 * MINUTE)
    assert found == {1: [Gap(None, NOW), Gap(NOW + 25 * MINUTE, NOW + 36 * MINUTE)]}
    found = store.gaps([1], NOW, NOW + 37 * MINUTE, 10 * MINUTE - 1)
    assert Gap(NOW + 10 * MINUTE, NOW + 20 * MINUTE) in found[1]


def test_first_gap_starts_at_the_last_heartbeat_before_the_span(store: Store) -> None:
    store.append([live(1, NOW - 80 * DAY), live(1, NOW - 3 * HOUR), live(1, NOW + HOUR)])
    across = Gap(NOW - 3 * HOUR, NOW + HOUR)
    assert store.gaps([1], NOW, NOW + 2 * HOUR, 2 * HOUR) == {1: [across]}
    assert store.gaps([1], NOW, NOW + 2 * HOUR, 4 * HOUR) == {1: []}
    assert store.gaps([1], NOW + HOUR, NOW + 2 * HOUR, 2 * HOUR) == {1: []}
    assert store.gaps([1], NOW - DAY, NOW - 4 * HOUR, DAY) == {1: [Gap(NOW - 80 * DAY, None)]}


def test_last_gap_is_open_and_measured_to_the_end_of_the_span(store: Store) -> None:
    store.append([live(1, NOW - SECOND), live(1, NOW), live(1, NOW + HOUR)])
    assert store.gaps([1], NOW, NOW + HOUR, HOUR) == {1: []}
    assert store.gaps([1], NOW, NOW + HOUR, HOUR - 1) == {1: [Gap(NOW, None)]}
    after = Gap(NOW + HOUR, None)
    assert store.gaps([1], NOW, NOW + 3 * HOUR, HOUR) == {1: [after]}
    assert store.gaps([1], NOW + 2 * HOUR, NOW + 3 * HOUR, HOUR) == {1: [after]}


def test_sensor_without_heartbeats_is_one_gap_without_ends(store: Store) -> None:
    store.append([live(2, NOW)])
    assert store.gaps([1, 2], NOW - HOUR, NOW, DAY) == {1: [Gap(None, None)], 2: [Gap(None, None)]}
    assert store.gaps([2], NOW, NOW + 1, DAY) == {2: [Gap(None, NOW)]}
    assert store.gaps([], NOW, NOW + 1, DAY) == {}


def test_history_sent_late_closes_gaps(store: Store) -> None:
    store.append([live(1, NOW), live(1, NOW + 3 * HOUR), live(2, NOW - DAY)])
    store.append([history(1, NOW + HOUR), history(1, NOW - HOUR), history(2, NOW + HOUR)])
    found = store.gaps([1, 2], NOW, NOW + 3 * HOUR + 1, HOUR)
    assert found[1] == [Gap(NOW + HOUR, NOW + 3 * HOUR)]
    assert found[2] == [Gap(NOW - DAY, NOW + HOUR), Gap(NOW + HOUR, None)]


def test_gap_uses_the_time_of_the_heartbeat(store: Store) -> None:
    store.append([Heartbeat(1, NOW + n * HOUR, NOW + n * HOUR + 30 * MINUTE) for n in (0, 2)])
    assert store.gaps([1], NOW + 1, NOW + 3 * HOUR, HOUR) == {1: [Gap(NOW, NOW + 2 * HOUR)]}


def test_gaps_of_more_sensors_than_fit_in_one_query(store: Store) -> None:
    macs = range(1_100)
    store.append([live(mac, NOW + moment) for mac in macs for moment in (0, mac)])
    found = store.gaps(macs, NOW, NOW + 2_000, 1_000)
    assert len(found) == 1_100
    assert found[5] == [Gap(None, NOW), Gap(NOW + 5, None)]
    assert found[1_050] == [Gap(None, NOW), Gap(NOW, NOW + 1_050)]


moments = st.dictionaries(st.integers(-30, 30), st.booleans(), max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(moments, min_size=2, max_size=2), st.integers(0, 15), st.integers(1, 20), st.data())
def test_gaps_equal_those_computed_from_heartbeats(
    store: Store, sensors: list[dict[int, bool]], start: int, length: int, data: st.DataObject
) -> None:
    longer_than = data.draw(st.integers(0, 12))
    begin, end = NOW + start, NOW + start + length
    for mac, beats in enumerate(sensors):
        store.forget(mac)
        store.append([Heartbeat(mac, NOW + at, NOW + at, lives) for at, lives in beats.items()])
    found = store.gaps([0, 1], begin, end, longer_than)
    for mac, beats in enumerate(sensors):
        times = [NOW + at for at in sorted(beats) if NOW + at < end]
        expected = [
            Gap(before, after)
            for before, after in pairwise([None, *times, None])
            if (after is None or after > begin or before is None)
            and (before is None or (end if after is None else after) - before > longer_than)
            and not (before is None and after is not None and after < begin)
        ]
        assert found[mac] == expected


def test_newest_are_before_the_given_time_and_sorted_descending(store: Store) -> None:
    beats = [live(1, NOW + n * SECOND, load=float(n)) for n in range(5)]
    store.append([*beats, history(1, NOW - HOUR, NOW, load=9.0), live(2, NOW)])
    assert store.newest(1, NOW + 4 * SECOND, 2) == [beats[3], beats[2]]
    assert store.newest(1, NOW + HOUR, 100) == [*beats[::-1], history(1, NOW - HOUR, NOW, load=9.0)]
    assert store.newest(3, NOW + HOUR, 100) == []


@pytest.mark.parametrize("limit", [1, 3])
def test_newest_can_be_paged(store: Store, limit: int) -> None:
    store.append([live(1, NOW + n) for n in range(7)])
    read: list[int] = []
    before = NOW + HOUR
    while page := store.newest(1, before, limit):
        read += [beat.time - NOW for beat in page]
        before = page[-1].time
    assert read == [6, 5, 4, 3, 2, 1, 0]
