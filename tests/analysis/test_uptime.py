"""Uptime from gaps and windows equals a count of each millisecond."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.analysis.gaps import Evidence, GapVerdict, outages
from monitor.analysis.uptime import Uptime, uptime
from monitor.model import DAY, HOUR, MINUTE
from monitor.staleness.blindness import BlindWindow, ObservedTime
from monitor.staleness.rules import judge
from tests.analysis import brute

T = 10 * MINUTE


def evidence(*beats: int, stop: int, start: int = 0, **known: Any) -> Evidence:
    return Evidence(start, stop, T, brute.gaps(beats, start, stop, T), **known)


def every_minute(start: int, stop: int) -> list[int]:
    return list(range(start, stop, MINUTE))


def test_sensor_with_regular_heartbeats_is_always_up() -> None:
    verdicts = uptime(evidence(*every_minute(0, HOUR), stop=HOUR))
    assert verdicts == Uptime(up=HOUR)
    assert verdicts.share == 1.0


def test_time_before_the_first_heartbeat_does_not_count() -> None:
    assert uptime(evidence(*every_minute(HOUR, 2 * HOUR), stop=2 * HOUR)) == Uptime(up=HOUR)
    never = uptime(evidence(stop=HOUR))
    assert never == Uptime()
    assert never.share is None


def test_sensor_whose_heartbeats_expired_is_down() -> None:
    assert uptime(evidence(stop=HOUR, first_seen=-DAY)) == Uptime(down=HOUR)
    assert uptime(evidence(stop=HOUR, first_seen=HOUR // 2)) == Uptime(down=HOUR // 2)


def test_outage_lasts_from_last_heartbeat_to_next() -> None:
    beats = [*every_minute(0, HOUR), *every_minute(2 * HOUR, 3 * HOUR)]
    known = evidence(*beats, stop=3 * HOUR)
    (outage,) = outages(known.judged_gaps)
    assert outage == (59 * MINUTE, 2 * HOUR, True, GapVerdict.PROVEN)
    verdicts = uptime(known)
    assert verdicts == Uptime(up=119 * MINUTE, down=61 * MINUTE)
    assert verdicts.share == pytest.approx(119 / 180)


def test_silence_of_exactly_the_threshold_is_no_outage() -> None:
    assert uptime(evidence(0, T, stop=2 * T)) == Uptime(up=2 * T)
    assert uptime(evidence(0, T, stop=2 * T + 1)) == Uptime(up=T, down=T + 1)
    assert uptime(evidence(0, T + 1, stop=T + 2)) == Uptime(up=1, down=T + 1)


def test_outage_that_began_before_the_span_counts_from_the_start_of_the_span() -> None:
    known = evidence(-HOUR, 20 * MINUTE, *every_minute(20 * MINUTE, HOUR), stop=HOUR)
    assert uptime(known) == Uptime(up=40 * MINUTE, down=20 * MINUTE)
    assert uptime(known, since=10 * MINUTE) == Uptime(up=40 * MINUTE, down=10 * MINUTE)
    assert uptime(known, since=30 * MINUTE) == Uptime(up=30 * MINUTE)


def test_blind_time_is_unknown_and_left_out_of_the_share() -> None:
    blind = [BlindWindow(30 * MINUTE, 60 * MINUTE)]
    known = evidence(0, *every_minute(2 * HOUR, 3 * HOUR), stop=3 * HOUR, blind=blind)
    verdicts = uptime(known)
    assert verdicts == Uptime(up=HOUR, down=90 * MINUTE, unknown=30 * MINUTE)
    assert verdicts.share == pytest.approx(60 / 150)


def test_silence_with_too_little_observed_time_is_unknown() -> None:
    blind = [BlindWindow(5 * MINUTE, 55 * MINUTE)]
    known = evidence(*every_minute(0, 60 * MINUTE)[::60], 60 * MINUTE, stop=HOUR + 1, blind=blind)
    assert outages(known.judged_gaps) == []
    assert uptime(known) == Uptime(up=1, unknown=HOUR)


def test_sensor_with_heartbeats_in_a_blind_window_is_up() -> None:
    blind = [BlindWindow(0, HOUR)]
    assert uptime(evidence(*every_minute(0, HOUR), stop=HOUR, blind=blind)) == Uptime(up=HOUR)


def test_silent_sensor_is_presumed_down_under_frequent_blind_windows() -> None:
    blind = [BlindWindow(n * 9 * MINUTE, n * 9 * MINUTE + 20_000) for n in range(1, 30)]
    known = evidence(0, stop=2 * HOUR, blind=blind)
    assert [gap.verdict for gap in known.judged_gaps] == [GapVerdict.PRESUMED]
    assert uptime(known) == Uptime(down=2 * HOUR - 13 * 20_000, unknown=13 * 20_000)
    assert evidence(0, stop=50 * MINUTE, blind=blind).judged_gaps[0].verdict is GapVerdict.UNKNOWN


def test_maintenance_covers_silence_but_not_uptime() -> None:
    works = [BlindWindow(HOUR, 2 * HOUR)]
    up = evidence(*every_minute(0, 3 * HOUR), stop=3 * HOUR, maintenance=works)
    assert uptime(up) == Uptime(up=3 * HOUR)
    beats = [*every_minute(0, HOUR + 1), *every_minute(2 * HOUR + 3 * MINUTE, 3 * HOUR)]
    verdicts = uptime(evidence(*beats, stop=3 * HOUR, maintenance=works))
    assert verdicts == Uptime(up=117 * MINUTE, unknown=3 * MINUTE, maintenance=HOUR)
    assert verdicts.share == 1.0


def test_outage_longer_than_maintenance_is_down_after_it() -> None:
    works = [BlindWindow(HOUR, 2 * HOUR)]
    verdicts = uptime(evidence(*every_minute(0, HOUR + 1), stop=3 * HOUR, maintenance=works))
    assert verdicts == Uptime(up=HOUR, down=HOUR, maintenance=HOUR)


def test_pause_takes_precedence_over_maintenance_and_maintenance_over_blindness() -> None:
    known = evidence(
        0,
        stop=8 * HOUR,
        paused=[BlindWindow(HOUR, 3 * HOUR)],
        maintenance=[BlindWindow(2 * HOUR, 5 * HOUR)],
        blind=[BlindWindow(4 * HOUR, 6 * HOUR)],
    )
    assert uptime(known) == Uptime(
        down=3 * HOUR, unknown=HOUR, maintenance=2 * HOUR, paused=2 * HOUR
    )


def test_sensor_with_slow_clock_is_not_down_now() -> None:
    beats = every_minute(0, HOUR)
    assert uptime(evidence(*beats, stop=2 * HOUR)).down == 61 * MINUTE
    verdicts = uptime(evidence(*beats, stop=2 * HOUR, last_seen=2 * HOUR - MINUTE))
    assert verdicts == Uptime(up=2 * HOUR)


moments = st.integers(100, 200)
windows = st.lists(st.builds(BlindWindow, moments, moments), max_size=5)
maybe = st.none() | moments


@settings(max_examples=1_000, deadline=None)
@given(
    beats=st.lists(moments, max_size=12),
    start=st.integers(135, 160),
    length=st.integers(0, 40),
    threshold=st.integers(1, 15),
    blind=windows,
    maintenance=windows,
    paused=windows,
    first_seen=maybe,
    last_seen=maybe,
    later=st.integers(0, 40),
)
def test_uptime_equals_a_count_of_each_millisecond(
    beats: list[int],
    start: int,
    length: int,
    threshold: int,
    blind: list[BlindWindow],
    maintenance: list[BlindWindow],
    paused: list[BlindWindow],
    first_seen: int | None,
    last_seen: int | None,
    later: int,
) -> None:
    stop = start + length
    known = Evidence(
        start,
        stop,
        threshold,
        brute.gaps(beats, start, stop, threshold),
        first_seen,
        last_seen,
        blind,
        maintenance,
        paused,
    )
    for since in (start, start + later):
        assert uptime(known, since) == brute.uptime(
            beats, since, stop, threshold, blind, maintenance, paused, first_seen, last_seen
        )


@settings(max_examples=500, deadline=None)
@given(seen=moments, length=st.integers(1, 80), threshold=st.integers(1, 15), blind=windows)
def test_gap_is_an_outage_exactly_when_an_incident_would_have_opened(
    seen: int, length: int, threshold: int, blind: list[BlindWindow]
) -> None:
    stop = seen + length
    known = Evidence(seen, stop, threshold, [(seen, None)], blind=blind)
    listening = ObservedTime(blind)
    verdicts = [judge(seen, threshold, at, listening) for at in range(seen + 1, stop + 1)]
    expected = (
        GapVerdict.PROVEN
        if any(verdict.proven for verdict in verdicts)
        else GapVerdict.PRESUMED
        if any(verdict.down for verdict in verdicts)
        else GapVerdict.UNKNOWN
    )
    found = [gap.verdict for gap in known.judged_gaps]
    assert found == ([expected] if length > threshold else [])
    if length <= threshold:
        assert expected is GapVerdict.UNKNOWN
