import itertools

from hypothesis import given
from hypothesis import strategies as st

from monitor.model import MINUTE, SECOND
from monitor.staleness.blindness import (
    FAREWELL_GRACE,
    Advance,
    BlindWindow,
    Source,
    SourceSpan,
    advance,
    merge,
    subtract,
)

LOST_AFTER = 15 * MINUTE


def observe(
    before: Advance, spans: list[SourceSpan], now: int, elapsed: int = 5 * SECOND
) -> Advance:
    return advance(before.horizon, before.sources, spans, elapsed, LOST_AFTER, now)


NEW = Advance(0, {}, [], [])


def test_time_before_the_first_coverage_span_is_blind() -> None:
    first = observe(NEW, [SourceSpan("a", 1_000, 2_000, False)], 2_000)
    assert (first.horizon, first.blind) == (2_000, [BlindWindow(0, 1_000)])


def test_horizon_is_that_of_the_slowest_open_source() -> None:
    both = observe(NEW, [SourceSpan("a", 0, 5_000, False), SourceSpan("b", 0, 3_000, False)], 5_000)
    assert both.horizon == 3_000
    assert both.blind == []


def test_gap_between_two_coverage_spans_is_blind() -> None:
    first = observe(NEW, [SourceSpan("a", 0, 5_000, False)], 5_000)
    spans = [SourceSpan("a", 0, 6_000, False), SourceSpan("a", 9_000, 10_000, False)]
    assert observe(first, spans, 10_000).blind == [BlindWindow(6_000, 9_000)]


def test_adjacent_pieces_of_one_span_leave_no_gap() -> None:
    first = observe(NEW, [SourceSpan("a", 0, 5_000, False)], 5_000)
    spans = [SourceSpan("a", 0, 6_000, False), SourceSpan("a", 0, 10_000, False)]
    assert observe(first, spans, 10_000).blind == []


def test_time_is_blind_when_one_of_two_sources_has_no_coverage() -> None:
    first = observe(
        NEW, [SourceSpan("a", 0, 5_000, False), SourceSpan("b", 0, 5_000, False)], 5_000
    )
    spans = [
        SourceSpan("a", 0, 10_000, False),
        SourceSpan("b", 0, 6_000, False),
        SourceSpan("b", 8_000, 10_000, False),
    ]
    after = observe(first, spans, 10_000)
    assert (after.horizon, after.blind) == (10_000, [BlindWindow(6_000, 8_000)])


def test_new_source_is_required_only_from_its_start() -> None:
    first = observe(NEW, [SourceSpan("a", 0, 5_000, False)], 5_000)
    spans = [SourceSpan("a", 0, 10_000, False), SourceSpan("b", 8_000, 10_000, False)]
    after = observe(first, spans, 10_000)
    assert (after.horizon, after.blind) == (10_000, [])


def test_without_open_sources_time_is_blind_and_the_horizon_stays() -> None:
    first = observe(NEW, [SourceSpan("a", 0, 5_000, True)], 5_000)
    waiting = first
    for now in range(10_000, 10_000 + FAREWELL_GRACE + 1, 5 * SECOND):
        waiting = observe(waiting, [SourceSpan("a", 0, 5_000, True)], now)
    assert not waiting.sources["a"].open
    back = observe(waiting, [SourceSpan("a", 900_000, 901_000, False)], 901_000)
    assert (back.horizon, back.blind) == (901_000, [BlindWindow(5_000, 900_000)])


def test_stopped_source_is_dropped_after_the_grace_period() -> None:
    def running(until: int) -> SourceSpan:
        return SourceSpan("a", 0, until, False)

    leaving = SourceSpan("b", 0, 5_000, True)
    state = observe(NEW, [running(5_000), leaving], 5_000)
    now = 5_000
    while now < FAREWELL_GRACE:
        now += 5 * SECOND
        state = observe(state, [running(now), leaving], now)
    assert state.horizon == 5_000
    state = observe(state, [running(now + 5_000), leaving], now + 5_000)
    assert state.horizon == now + 5_000
    assert state.blind == []


def test_source_restarted_within_the_grace_period_was_blind_in_between() -> None:
    sources = {"a": Source(True, 500_000), "b": Source(False, 5_000)}
    before = Advance(500_000, sources, [], [])
    spans = [SourceSpan("a", 0, 510_000, False), SourceSpan("b", 300_000, 510_000, False)]
    after = observe(before, spans, 510_000)
    assert after.sources["b"].open
    assert after.blind == [BlindWindow(5_000, 300_000)]


def test_stalled_source_is_dropped_and_its_missing_time_is_blind() -> None:
    stuck, now = SourceSpan("b", 0, 5_000, False), 5_000
    state = observe(NEW, [SourceSpan("a", 0, 5_000, False), stuck], now)
    lost: list[str] = []
    while not lost:
        now += 5 * SECOND
        state = observe(state, [SourceSpan("a", 0, now, False), stuck], now)
        lost = state.lost
    assert lost == ["b"]
    assert now - 5_000 == LOST_AFTER
    assert state.horizon == now
    assert state.blind == [BlindWindow(5_000, now)]


def test_stall_counts_only_while_the_store_can_be_read() -> None:
    stuck = SourceSpan("b", 0, 5_000, False)
    state = observe(NEW, [SourceSpan("a", 0, 5_000, False), stuck], 5_000)
    state = observe(
        state, [SourceSpan("a", 0, 9_000_000, False), stuck], 9_000_000, elapsed=8_995_000
    )
    assert state.lost == []


def test_source_that_is_catching_up_does_not_move_the_horizon_back() -> None:
    sources = {"a": Source(True, 500_000), "b": Source(False, 5_000)}
    before = Advance(500_000, sources, [], [])
    spans = [SourceSpan("a", 0, 505_000, False), SourceSpan("b", 0, 100_000, False)]
    after = observe(before, spans, 505_000)
    assert (after.horizon, after.sources["b"].open) == (505_000, False)


pieces = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda w: BlindWindow(w[0], w[0] + w[1])),
    max_size=8,
)


@given(pieces)
def test_merged_windows_cover_the_same_time_and_are_disjoint(windows: list[BlindWindow]) -> None:
    merged = merge(windows)
    moments = {t for w in windows for t in range(w.start, w.stop)}
    assert {t for w in merged for t in range(w.start, w.stop)} == moments
    assert all(a.stop < b.start for a, b in itertools.pairwise(merged))


@given(st.integers(0, 60), st.integers(0, 40), pieces)
def test_subtraction_leaves_the_uncovered_time(
    start: int, length: int, covered: list[BlindWindow]
) -> None:
    left = subtract(BlindWindow(start, start + length), covered)
    expected = set(range(start, start + length)) - {
        t for w in covered for t in range(w.start, w.stop)
    }
    assert {t for w in left for t in range(w.start, w.stop)} == expected


steps = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["beat", "beat", "beat", "gap", "bye", "hold"]),
        st.integers(1, 30).map(lambda seconds: seconds * SECOND),
    ),
    max_size=60,
)


@given(steps)
def test_horizon_never_goes_back_and_observed_time_is_covered_by_all_open_sources(
    plan: list[tuple[str, str, int]],
) -> None:
    spans: dict[str, list[SourceSpan]] = {}
    state, now = NEW, 1_000_000
    blind: list[BlindWindow] = []
    for source, what, duration in plan:
        now += duration
        own_spans = spans.setdefault(source, [])
        if (
            what == "gap"
            or (not own_spans and what != "hold")
            or (own_spans and own_spans[-1].closing)
        ):
            own_spans.append(SourceSpan(source, now - duration // 2, now, False))
        elif what != "hold" and own_spans:
            own_spans[-1] = own_spans[-1]._replace(until=now, closing=what == "bye")
        current = [s for all_of in spans.values() for s in all_of if s.until >= state.horizon]
        after = observe(state, current, now, elapsed=duration)
        assert after.horizon >= state.horizon
        blind = merge([*blind, *after.blind])
        for left in subtract(BlindWindow(state.horizon, after.horizon), blind):
            assert any(
                not subtract(left, [BlindWindow(s.start, s.until) for s in all_of])
                for all_of in spans.values()
            )
        state = after
