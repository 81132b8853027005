from hypothesis import given
from hypothesis import strategies as st

from monitor.staleness.blindness import BlindWindow, ObservedTime
from monitor.staleness.rules import PRESUMED_AFTER, SensorStatus, judge, status

NOTHING_BLIND = ObservedTime([])

moments = st.integers(0, 2_000)
windows = st.lists(
    st.tuples(moments, st.integers(1, 300)).map(lambda w: BlindWindow(w[0], w[0] + w[1])),
    max_size=12,
)
thresholds = st.integers(1, 500)


def listened(blind: list[BlindWindow], start: int, stop: int) -> int:
    """Brute force: each millisecond (t, t+1] counts unless a window holds it."""
    return sum(not any(w.start <= t < w.stop for w in blind) for t in range(start, stop))


@given(windows, moments, moments)
def test_observed_time_is_the_time_outside_blind_windows(
    blind: list[BlindWindow], one: int, other: int
) -> None:
    start, stop = sorted((one, other))
    assert ObservedTime(blind).between(start, stop) == listened(blind, start, stop)


@given(windows, moments, thresholds, moments)
def test_down_means_proven_or_presumed(
    blind: list[BlindWindow], seen: int, threshold: int, horizon: int
) -> None:
    ends = [min(w.stop, horizon) for w in blind if w.start < horizon]
    proven = listened(blind, max([seen, *ends]), horizon) > threshold
    presumed = listened(blind, seen, horizon) > PRESUMED_AFTER * threshold
    verdict = judge(seen, threshold, horizon, ObservedTime(blind))
    assert verdict.down == (proven or presumed)
    if verdict.down:
        assert verdict.proven == proven


@given(windows, moments, thresholds, moments, st.integers(0, 500))
def test_sensor_is_not_down_before_its_deadline(
    blind: list[BlindWindow], seen: int, threshold: int, horizon: int, later: int
) -> None:
    verdict = judge(seen, threshold, horizon, ObservedTime(blind))
    if not verdict.down:
        until = min(horizon + later, verdict.deadline)
        if until >= horizon:
            assert not judge(seen, threshold, until, ObservedTime(blind)).down


@given(windows, moments, thresholds, moments)
def test_later_heartbeat_never_makes_a_sensor_down(
    blind: list[BlindWindow], seen: int, threshold: int, horizon: int
) -> None:
    listening = ObservedTime(blind)
    if not judge(seen, threshold, horizon, listening).down:
        assert not judge(seen + 1, threshold, horizon, listening).down


def test_silence_of_exactly_the_threshold_is_up() -> None:
    assert not judge(1_000, 600, 1_600, NOTHING_BLIND).down
    assert judge(1_000, 600, 1_601, NOTHING_BLIND).down


def test_silence_in_a_blind_window_is_no_outage() -> None:
    listening = ObservedTime([BlindWindow(1_100, 5_000)])
    assert not judge(1_000, 600, 5_600, listening).down
    assert judge(1_000, 600, 5_601, listening).proven


def test_dead_sensor_is_presumed_down_under_frequent_blind_windows() -> None:
    listening = ObservedTime([BlindWindow(t, t + 20) for t in range(500, 100_000, 540)])
    verdicts = [judge(0, 600, horizon, listening) for horizon in range(0, 10_000, 50)]
    first = next(verdict for verdict in verdicts if verdict.down)
    assert not first.proven


def test_status_is_down_exactly_while_an_incident_is_open() -> None:
    assert status(1_000, 600, 1_500) is SensorStatus.UP
    assert status(1_000, 600, 1_601) is SensorStatus.UNKNOWN
    assert status(1_000, 600, 1_601, incident_open=True) is SensorStatus.DOWN
    assert status(None, 600, 0) is SensorStatus.WAITING
    assert status(1_000, 600, 9_999, paused=True) is SensorStatus.PAUSED


def test_resumed_sensor_is_waiting_for_at_most_its_threshold() -> None:
    assert status(1_000, 600, 2_600, monitored_since=2_000) is SensorStatus.WAITING
    assert status(1_000, 600, 2_601, monitored_since=2_000) is SensorStatus.UNKNOWN
    assert status(2_100, 600, 2_601, monitored_since=2_000) is SensorStatus.UP
    assert status(1_000, 600, 2_300, incident_open=True, monitored_since=2_000) is SensorStatus.DOWN
