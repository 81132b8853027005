"""The store contract, tested with every store."""

import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat, Seen
from monitor.store.interface import Bucket, CoverageSpan, Cursor, Store, StoreRejected
from tests.store.beats import NOW, history, live, stored
from tests.waiting import eventually


def test_migrating_again_changes_nothing(store: Store) -> None:
    store.append([live(1, NOW)])
    store.migrate()
    assert stored(store, 1) == [live(1, NOW)]


def test_appended_heartbeats_are_read_in_order_of_time(store: Store) -> None:
    beats = [
        live(2, NOW + 5, battery=3.25),
        live(1, NOW),
        history(1, NOW - HOUR, rssi=-70.0, battery=0.1),
        Heartbeat(2, NOW - 4, NOW + 9, True, None),
    ]
    store.append(beats)
    assert stored(store, 1, 2) == sorted(beats, key=lambda beat: beat.time)
    assert stored(store, 3) == []


def test_appending_again_changes_nothing(store: Store) -> None:
    beats = [live(1, NOW + n, battery=float(n)) for n in range(5)]
    store.append(beats)
    store.append(beats[::-1])
    assert stored(store, 1) == beats


@pytest.mark.parametrize("together", [True, False])
def test_metrics_of_two_heartbeats_with_one_time_are_merged(store: Store, together: bool) -> None:
    first, second = live(1, NOW, battery=3.0, rssi=-1.0), live(1, NOW, rssi=-2.0, load=0.5)
    for batch in [[first, second]] if together else [[first], [second]]:
        store.append(batch)
    (only,) = stored(store, 1)
    assert only.metrics == {"battery": 3.0, "rssi": -2.0, "load": 0.5}
    (bucket,) = store.history([1], NOW, NOW + 1, 1)[1]
    assert bucket.beats == 1


def test_last_value_wins_for_one_time_in_one_call(store: Store) -> None:
    first = Heartbeat(1, NOW, NOW + 9, True, {"load": 1.0})
    second = Heartbeat(1, NOW, NOW + 5, True, {"load": 2.0})
    store.append([first, second])
    (only,) = stored(store, 1)
    assert only.metrics == {"load": 2.0}
    assert store.last_seen(NOW - MINUTE) == {1: NOW + 9}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("live_first", [True, False])
def test_live_heartbeat_stays_live_when_repeated_as_history(
    store: Store, together: bool, live_first: bool
) -> None:
    beats = [live(1, NOW, load=1.0), history(1, NOW, NOW + HOUR, rssi=-2.0)]
    if not live_first:
        beats.reverse()
    for batch in [beats] if together else [[beat] for beat in beats]:
        store.append(batch)
    assert stored(store, 1) == [live(1, NOW, load=1.0, rssi=-2.0)]
    assert store.last_seen(NOW - DAY) == store.last_seen(NOW - DAY, live=True) == {1: NOW}
    store.append([history(1, NOW + 1), history(2, NOW)])
    for metric in (None, "load"):
        counted = store.history([1, 2], NOW, NOW + SECOND, SECOND, metric)
        assert (counted[1][0].beats, counted[2][0].beats) == (2, 1)


def test_invalid_heartbeats_are_refused_and_the_rest_is_stored(store: Store) -> None:
    bad = [
        live(2, NOW, load=math.nan),
        live(3, NOW, load=-math.inf),
        Heartbeat(4, NOW, NOW, True, {"a b": 1.0}),
        Heartbeat(5, NOW, NOW, True, {"x=1\nheartbeat,mac=02:00:00:00:00:09 m_y": 1.0}),
    ]
    with pytest.raises(StoreRejected, match="4 heartbeats refused") as caught:
        store.append([live(1, NOW), *bad, live(6, NOW, load=1.0)])
    assert [beat for beat, _ in caught.value.refused] == bad
    assert caught.value.refused[0][1] == "load is not a finite number"
    assert store.last_seen(NOW) == {1: NOW, 6: NOW}
    assert store.metric_names() == {"load"}


def test_invalid_metric_name_is_refused_in_queries(store: Store) -> None:
    with pytest.raises(ValueError, match="not the name of a metric"):
        store.history([1], NOW, NOW + 1, 1, 'load") FROM heartbeat --')
    store.append([live(1, NOW, load=1.0)])
    assert store.history([1], NOW, NOW + 1, 1, "unheard") == {1: [Bucket(NOW, 1)]}


def test_last_seen_is_the_newest_of_the_requested_sensors(store: Store) -> None:
    store.append([live(1, NOW), live(1, NOW - MINUTE), live(2, NOW - HOUR), live(3, NOW)])
    assert store.last_seen(NOW - MINUTE) == {1: NOW, 3: NOW}
    assert store.last_seen(NOW - DAY, [1, 2, 9]) == {1: NOW, 2: NOW - HOUR}
    assert store.last_seen(NOW - DAY, []) == {}


def test_live_heartbeat_counts_as_seen_when_received(store: Store) -> None:
    behind = Heartbeat(1, NOW - 5 * HOUR, NOW, True, None)
    ahead = Heartbeat(2, NOW + 30 * SECOND, NOW, True, None)
    store.append([behind, ahead])
    assert store.last_seen(NOW - MINUTE) == {1: NOW, 2: NOW}
    assert len(stored(store, 1, 2)) == 2


def test_earlier_heartbeat_with_a_future_time_hides_no_later_one(store: Store) -> None:
    store.append([Heartbeat(mac, NOW + 40 * SECOND, NOW, True, None) for mac in (1, 2, 3)])
    store.append([live(1, NOW + 20 * SECOND), live(2, NOW + 30 * SECOND)])
    seen = {1: NOW + 20 * SECOND, 2: NOW + 30 * SECOND, 3: NOW}
    assert store.last_seen(NOW - DAY) == store.last_seen(NOW - DAY, [1, 2, 3], live=True) == seen
    assert store.last_seen(NOW + SECOND) == {1: NOW + 20 * SECOND, 2: NOW + 30 * SECOND}


def test_history_counts_for_last_seen_and_is_not_live(store: Store) -> None:
    store.append([history(1, NOW - HOUR), live(2, NOW - 2 * HOUR), history(2, NOW - HOUR)])
    assert store.last_seen(NOW - DAY) == {1: NOW - HOUR, 2: NOW - HOUR}
    assert store.last_seen(NOW - DAY, live=True) == {2: NOW - 2 * HOUR}
    store.append([history(3, NOW + 30 * SECOND)])
    assert store.last_seen(NOW, [3]) == {3: NOW + 30 * SECOND}


def test_last_seen_of_thousands_listed_and_of_all_sensors(store: Store) -> None:
    store.append([live(mac, NOW + mac) for mac in range(7_000)])
    assert store.last_seen(NOW, range(1_200)) == {mac: NOW + mac for mac in range(1_200)}
    assert store.last_seen(NOW, range(100, 6_000)) == {mac: NOW + mac for mac in range(100, 6_000)}
    assert len(store.last_seen(NOW)) == 7_000


def test_history_buckets_are_aligned_and_half_open(store: Store) -> None:
    store.append(
        [
            live(1, NOW, battery=1.0),
            live(1, NOW + MINUTE - 1, battery=3.0),
            live(1, NOW + MINUTE),
            history(1, NOW + 3 * MINUTE, battery=9.0),
        ]
    )
    counts = store.history([1, 2], NOW + 1, NOW + 3 * MINUTE, MINUTE)
    assert counts[1] == [Bucket(NOW, 2), Bucket(NOW + MINUTE, 1), Bucket(NOW + 2 * MINUTE, 0)]
    assert [bucket.beats for bucket in counts[2]] == [0, 0, 0]
    figures = store.history([1], NOW, NOW + 2 * MINUTE, MINUTE, "battery")[1]
    assert figures == [Bucket(NOW, 2, 1.0, 2.0, 3.0), Bucket(NOW + MINUTE, 1)]


def test_heartbeats_of_no_sensors_and_of_more_than_fit_in_one_query(store: Store) -> None:
    store.append([live(mac, NOW + mac % 7, load=float(mac)) for mac in range(12_000)])
    assert stored(store) == []
    for macs in (range(1_200), range(500, 40_000)):
        read = stored(store, *macs)
        assert [beat.time for beat in read] == sorted(beat.time for beat in read)
        assert sorted(beat.mac for beat in read) == [mac for mac in macs if mac < 12_000]


def test_reading_can_stop_early(store: Store) -> None:
    store.append([live(1, NOW + n * MINUTE) for n in range(200)])
    for _ in range(30):
        reading = store.heartbeats([1], NOW, NOW + DAY)
        assert next(reading) == live(1, NOW)
        del reading
    assert len(stored(store, 1)) == 200


def test_many_heartbeats_of_one_time_are_all_read(store: Store) -> None:
    store.append([live(mac, NOW) for mac in range(400)] + [live(1, NOW + 1)])
    assert len(stored(store, *range(400))) == 401


def test_arrivals_after_a_cursor_are_all_read(store: Store) -> None:
    start = store.arrivals(None).cursor
    first = [Seen(1, NOW, True), Seen(2, NOW + 1, False)]
    store.announce("a", NOW + 5, first)
    read = store.arrivals(start)
    assert (sorted(read.seen), read.watermarks) == (first, {"a": NOW + 5})
    store.announce("b", NOW + 7, [Seen(3, NOW, True)])
    store.announce("a", NOW + 6, [Seen(4, NOW, True)])
    again = store.arrivals(read.cursor)
    assert {seen.mac for seen in again.seen} == {3, 4}
    assert again.watermarks == {"a": NOW + 6, "b": NOW + 7}
    assert again.cursor.position > start.position
    assert store.arrivals(again.cursor).seen == []


def test_cursor_restored_from_its_position_misses_nothing(store: Store) -> None:
    start = store.arrivals(None).cursor
    store.announce("a", NOW, [Seen(1, NOW, True)])
    read = store.arrivals(start)
    store.announce("a", NOW, [Seen(2, NOW, True)])
    kept = store.arrivals(Cursor(read.cursor.position))
    assert 2 in {seen.mac for seen in kept.seen}


def test_very_long_announcement_is_read_completely(store: Store) -> None:
    start = store.arrivals(None).cursor
    everybody = [Seen(mac, NOW + mac, mac % 2 == 0) for mac in range(45_000)]
    store.announce("a", NOW, everybody)
    assert sorted(store.arrivals(start).seen) == everybody


def test_empty_announcement_is_not_read(store: Store) -> None:
    start = store.arrivals(None).cursor
    store.announce("a", NOW, [])
    assert store.arrivals(start).seen == []


def test_coverage_reported_regularly_for_hours_is_continuous(store: Store) -> None:
    begin = NOW - 5 * HOUR
    for until in range(begin, NOW + 1, 20 * MINUTE):
        store.add_coverage(CoverageSpan("a", begin, until, False))
    covered = store.coverage(begin, NOW)
    assert {span.start for span in covered} == {begin}
    assert covered[-1].until == NOW
    assert len(covered) <= 7


def test_long_coverage_span_reported_once_is_complete(store: Store) -> None:
    begin = NOW - 10 * HOUR
    store.add_coverage(CoverageSpan("a", begin, begin + MINUTE, False))
    store.add_coverage(CoverageSpan("a", begin, NOW, False))
    (covered,) = store.coverage(begin + 3 * HOUR, begin + 4 * HOUR)
    assert covered == CoverageSpan("a", begin, NOW, False)


def test_coverage_has_gaps_sources_and_final_spans(store: Store) -> None:
    spans = [
        CoverageSpan("a", NOW, NOW + MINUTE, False),
        CoverageSpan("a", NOW + 2 * MINUTE, NOW + 3 * MINUTE, True),
        CoverageSpan("b", NOW - HOUR, NOW - 30 * MINUTE, False),
    ]
    for span in spans:
        store.add_coverage(span)
    assert store.coverage(NOW - DAY, NOW + DAY) == spans
    assert store.coverage(NOW + MINUTE, NOW + 90 * SECOND) == spans[:1]
    assert store.coverage(NOW - 40 * MINUTE, NOW - 35 * MINUTE) == spans[2:]


def test_metric_names_lists_every_name_sent(store: Store) -> None:
    assert store.metric_names() == set()
    store.append([live(1, NOW, battery=1.0), live(2, NOW, rssi=-3.5)])
    assert store.metric_names() == {"battery", "rssi"}


def test_forget_removes_one_sensor_and_no_other(store: Store) -> None:
    store.append([live(1, NOW), Heartbeat(1, NOW - HOUR, NOW, True, None), live(2, NOW)])
    store.forget(1)
    eventually(lambda: stored(store, 1) == [])
    assert store.last_seen(NOW - DAY) == {2: NOW}
    store.append([live(1, NOW + SECOND)])
    assert store.last_seen(NOW - DAY, [1]) == {1: NOW + SECOND}


def test_ping_returns_the_time_of_the_store(store: Store) -> None:
    assert abs(store.ping() - time.time_ns() // 1_000_000) < 2 * SECOND


def _beat(mac: int, offset: int, is_live: bool, metrics: dict[str, float]) -> Heartbeat:
    # The same clock error each time, so that one heartbeat has one time of receipt.
    late = (-15, 0, 50)[(mac + offset) % 3]
    return Heartbeat(mac, NOW + offset, NOW + offset + late, is_live, metrics or None)


beats = st.lists(
    st.builds(
        _beat,
        st.integers(1, 3),
        st.integers(0, 20),
        st.booleans(),
        st.dictionaries(st.sampled_from(["battery", "load"]), st.floats(-1e6, 1e6), max_size=2),
    ),
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(beats, max_size=3))
def test_store_equals_a_model_in_memory(store: Store, batches: list[list[Heartbeat]]) -> None:
    for mac in (1, 2, 3):
        store.forget(mac)
    model: dict[tuple[int, int], Heartbeat] = {}
    seen: dict[int, int] = {}
    seen_live: dict[int, int] = {}
    for batch in batches:
        store.append(batch)
        for beat in batch:
            earlier = model.get(beat[:2], beat)
            metrics = {**(earlier.metrics or {}), **(beat.metrics or {})} or None
            model[beat[:2]] = beat._replace(live=earlier.live or beat.live, metrics=metrics)
            seen[beat.mac] = max(seen.get(beat.mac, 0), beat.seen)
            if beat.live:
                seen_live[beat.mac] = max(seen_live.get(beat.mac, 0), beat.seen)
    assert {beat[:2]: beat for beat in stored(store, 1, 2, 3)} == model
    assert store.last_seen(NOW - DAY) == seen
    assert store.last_seen(NOW - DAY, [1, 2, 3], live=True) == seen_live
    for mac, buckets in store.history([1, 2, 3], NOW, NOW + 24, 8).items():
        assert [bucket.beats for bucket in buckets] == [
            sum(m == mac and b.start <= t < b.start + 8 for m, t in model) for b in buckets
        ]
