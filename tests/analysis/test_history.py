"""History reads uptime, charts and heartbeats from the store and the state."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from monitor.analysis.evidence import UnknownSensor
from monitor.analysis.gaps import GapVerdict
from monitor.analysis.history import DAYS, step
from monitor.analysis.uptime import Uptime
from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat
from monitor.staleness.blindness import BlindWindow
from monitor.store.interface import Store
from tests.analysis import brute
from tests.analysis.past import MAC, Past, T
from tests.cases import Cases
from tests.conftest import RETENTION
from tests.store.beats import NOW


@pytest.fixture
def past(store: Store, state: Engine) -> Past:
    return Past(store, state)


def day(past: Past) -> Uptime:
    return past.history().uptimes(MAC)[0].uptime


def test_uptime_is_given_for_1_7_30_and_90_days(past: Past) -> None:
    past.beats(range(NOW - 2 * DAY, NOW - 26 * HOUR, 5 * MINUTE))
    past.beats(range(NOW - 23 * HOUR, NOW + 1, 5 * MINUTE))
    spans = past.history().uptimes(MAC)
    assert [(span.days, span.stop - span.start) for span in spans] == [(n, n * DAY) for n in DAYS]
    silent = 3 * HOUR + 5 * MINUTE
    assert spans[0].uptime == Uptime(up=23 * HOUR, down=HOUR)
    for span in spans[1:]:
        assert span.uptime == Uptime(up=2 * DAY - silent, down=silent)


def test_uptime_starts_at_the_retention_limit(past: Past) -> None:
    past.configure(first_seen=NOW - 400 * DAY)
    past.clock.moment += 10 * DAY
    past.judged(past.clock.now())
    oldest = past.clock.now() - RETENTION
    past.beats(range(oldest + 4 * MINUTE, oldest + DAY, 5 * MINUTE))
    quarter = past.history().uptimes(MAC)[-1]
    assert quarter.start == oldest
    assert quarter.uptime.up == DAY - MINUTE
    assert quarter.uptime.down == RETENTION - DAY + MINUTE


def test_registered_sensor_without_heartbeats_has_no_uptime(past: Past) -> None:
    assert day(past) == Uptime()


def test_unknown_or_forgotten_sensor_raises_unknown_sensor(past: Past) -> None:
    for ask in (past.history().uptimes, past.history().metrics):
        with pytest.raises(UnknownSensor):
            ask(MAC + 1)
    past.configure(forgotten_at=NOW)
    with pytest.raises(UnknownSensor):
        past.history().chart(MAC, NOW - DAY, NOW, 10)


def test_time_after_the_horizon_is_unknown(past: Past) -> None:
    past.beats(range(NOW - DAY, NOW - 2 * HOUR + 1, MINUTE))
    past.judged(NOW - 2 * HOUR)
    assert day(past) == Uptime(up=22 * HOUR, unknown=2 * HOUR)
    past.judged(NOW - HOUR)
    assert day(past) == Uptime(up=22 * HOUR, down=HOUR, unknown=HOUR)


def test_uptime_uses_the_threshold_of_the_sensor(past: Past) -> None:
    past.beats(range(NOW - DAY, NOW, HOUR))
    assert day(past) == Uptime(down=DAY)
    past.configure(threshold=HOUR)
    assert day(past) == Uptime(up=DAY)


def test_maintenance_of_other_sensors_does_not_count(past: Past) -> None:
    past.beats([NOW - DAY])
    past.maintain(NOW - 2 * HOUR, NOW - HOUR)
    past.maintain(NOW - 8 * HOUR, NOW - 4 * HOUR, ["site=Yard"])
    assert day(past) == Uptime(down=23 * HOUR, maintenance=HOUR)


def test_open_pause_counts_up_to_now(past: Past) -> None:
    past.beats([NOW - DAY])
    past.pause(NOW - 20 * HOUR, NOW - 19 * HOUR)
    past.pause(NOW - HOUR, None)
    assert day(past) == Uptime(down=22 * HOUR, paused=2 * HOUR)


def test_sensor_with_slow_clock_is_up(past: Past) -> None:
    past.store.append(
        [Heartbeat(MAC, at - 3 * HOUR, at) for at in range(NOW - DAY, NOW + 1, 5 * MINUTE)]
    )
    assert day(past) == Uptime(up=DAY)


def test_heartbeat_at_the_end_of_the_span_does_not_shorten_the_outage(past: Past) -> None:
    past.beats([NOW - DAY, NOW])
    assert day(past) == Uptime(down=DAY)


def test_uptime_is_cached_for_a_minute(past: Past) -> None:
    past.beats([NOW - DAY])
    history = past.history()
    first = history.uptimes(MAC)
    past.clock.moment += MINUTE - 1
    assert history.uptimes(MAC) is first
    past.clock.moment += 1
    assert history.uptimes(MAC)[0].stop == NOW + MINUTE


minutes = st.integers(-60, 0)
windows = st.lists(st.tuples(minutes, minutes).filter(lambda pair: pair[0] < pair[1]), max_size=3)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    beats=st.lists(st.tuples(minutes, st.booleans()), max_size=10),
    start=st.integers(-50, -1),
    threshold=st.integers(1, 12),
    blind=windows,
    maintained=windows,
    paused=windows,
    first_seen=st.none() | minutes,
    horizon=st.integers(-10, 0),
)
def test_uptime_equals_reference_count_of_heartbeats_and_windows(
    past: Past,
    beats: list[tuple[int, bool]],
    start: int,
    threshold: int,
    blind: list[tuple[int, int]],
    maintained: list[tuple[int, int]],
    paused: list[tuple[int, int]],
    first_seen: int | None,
    horizon: int,
) -> None:
    def moment(at: int) -> int:
        return NOW + at * MINUTE

    past.forget()
    past.judged(moment(horizon))
    past.configure(
        threshold=threshold * MINUTE,
        first_seen=None if first_seen is None else moment(first_seen),
    )
    for live in (True, False):
        past.beats([moment(at) for at, was_live in beats if was_live is live], live)
    past.blind(*((moment(begin), moment(end)) for begin, end in blind))
    for begin, end in maintained:
        past.maintain(moment(begin), moment(end))
    for begin, end in paused:
        past.pause(moment(begin), moment(end))
    counted = brute.uptime(
        [at for at, _ in beats],
        start,
        0,
        threshold,
        [BlindWindow(*window) for window in [*blind, (horizon, 0)]],
        [BlindWindow(*window) for window in maintained],
        [BlindWindow(*window) for window in paused],
        first_seen,
    )
    chart = past.history().uptime(MAC, moment(start), NOW)
    assert chart == Uptime(*(count * MINUTE for count in counted))


def test_chart_has_buckets_silences_and_windows(past: Past, state: Engine) -> None:
    past.beats(range(NOW - 5 * HOUR, NOW - 3 * HOUR + 1, MINUTE))
    past.beats(range(NOW - HOUR, NOW, MINUTE))
    past.blind((NOW - 6 * HOUR, NOW - 270 * MINUTE))
    past.maintain(NOW - 2 * HOUR, NOW - 90 * MINUTE)
    past.pause(NOW - MINUTE, None)
    cases = Cases(state)
    opened = {"last_seen": NOW - 3 * HOUR, "opened_at": NOW - 170 * MINUTE}
    number = cases.incident(MAC, cases.group(), **opened, closed_at=NOW - HOUR)
    cases.incident(MAC, cases.group("b"), last_seen=NOW - DAY, closed_at=NOW - 20 * HOUR)
    chart = past.history().chart(MAC, NOW - 5 * HOUR, NOW, 10)
    assert (chart.start, chart.stop, chart.every) == (NOW - 5 * HOUR, NOW, 30 * MINUTE)
    assert [bucket.beats for bucket in chart.buckets] == [30] * 4 + [1, 0, 0, 0] + [30] * 2
    (silence,) = chart.silences
    assert silence == (NOW - 3 * HOUR, NOW - HOUR, True, GapVerdict.PROVEN)
    assert chart.blind == [(NOW - 5 * HOUR, NOW - 270 * MINUTE)]
    assert chart.maintenance == [(NOW - 2 * HOUR, NOW - 90 * MINUTE)]
    assert chart.paused == [(NOW - MINUTE, NOW)]
    assert [case.id for case in chart.cases] == [number]
    assert chart.metrics == {}


def test_chart_has_the_requested_metrics(past: Past) -> None:
    for n in range(4):
        metrics = {"battery": 4.0 - n, "load": float(n)}
        past.store.append([Heartbeat(MAC, NOW - HOUR + n * 30 * MINUTE, NOW, True, metrics)])
    chart = past.history().chart(MAC, NOW - HOUR, NOW, 2, ["battery", "load"])
    assert chart.every == 30 * MINUTE
    assert [bucket.mean for bucket in chart.metrics["battery"]] == [4.0, 3.0]
    assert [bucket.maximum for bucket in chart.metrics["load"]] == [0.0, 1.0]
    assert [bucket.beats for bucket in chart.buckets] == [1, 1]
    assert past.history().metrics(MAC) == ["battery", "load"]
    with pytest.raises(ValueError, match="not the name of a metric"):
        past.history().chart(MAC, NOW - HOUR, NOW, 2, ["a b"])


def test_chart_is_limited_to_the_retention_and_now(past: Past) -> None:
    chart = past.history().chart(MAC, NOW - 3 * 365 * DAY, NOW + 365 * DAY, 100)
    assert (chart.start, chart.stop) == (NOW - RETENTION, NOW)
    ahead = past.history().chart(MAC, NOW + DAY, NOW + 2 * DAY, 100)
    assert (ahead.start, ahead.stop, ahead.silences) == (NOW, NOW, [])


def test_sparklines_are_cached_for_30_seconds(past: Past) -> None:
    past.beats(range(NOW - 2 * HOUR, NOW + MINUTE, 10 * MINUTE))
    past.clock.moment = NOW + MINUTE
    history = past.history()
    lines = history.sparklines([MAC, MAC + 1], DAY)
    assert (lines.every, lines.start) == (30 * MINUTE, NOW + 30 * MINUTE - DAY)
    assert lines.beats[MAC] == [0] * 43 + [3] * 4 + [1]
    assert lines.beats[MAC + 1] == [0] * 48
    past.beats([NOW + MINUTE])
    assert history.sparklines([MAC], DAY).beats[MAC][-1] == 1
    past.clock.moment += 30 * SECOND
    assert history.sparklines([MAC, MAC + 2], DAY).beats[MAC][-1] == 2


@pytest.mark.parametrize(
    ("length", "points", "width"),
    [
        (DAY, 300, 5 * MINUTE),
        (HOUR, 300, 30 * SECOND),
        (1, 300, 10 * SECOND),
        (365 * DAY, 300, 2 * DAY),
        (366 * DAY, 1, 366 * DAY),
        (DAY, 1, DAY),
    ],
)
def test_bucket_width_is_a_round_length(length: int, points: int, width: int) -> None:
    assert step(length, points) == width


def test_heartbeats_are_paged_from_the_newest(past: Past) -> None:
    past.beats([NOW - MINUTE, NOW - T, NOW + MINUTE])
    read = past.history().heartbeats(MAC, None, 2)
    assert [beat.time for beat in read] == [NOW + MINUTE, NOW - MINUTE]
    (oldest,) = past.history().heartbeats(MAC, read[-1].time, 2)
    assert oldest.time == NOW - T
    assert past.history().heartbeats(MAC, -(10**15), 2) == []
    assert len(past.history().heartbeats(MAC, 10**15, 5)) == 3
