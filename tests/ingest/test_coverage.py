from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.coverage import LONGEST_PAUSE, CoverageTracker, CoveredTime, Refusal
from monitor.model import HOUR, SECOND

ROUND = 250
MARGIN = 5
T0 = 1_795_395_720_000


class Observer:
    """Observes the workers once per round, as the shipper does."""

    def __init__(self) -> None:
        self.tracker = CoverageTracker()
        self.now = T0

    def look(
        self,
        later: int = ROUND,
        alive: bool = True,
        broken: bool = False,
        refusals: Sequence[Refusal] = (),
    ) -> None:
        self.now += later
        self.tracker.observe(self.now, self.now - MARGIN, alive, broken, refusals)

    def spans(self) -> list[CoveredTime]:
        return self.tracker.to_store(self.now)


@pytest.fixture
def observer() -> Observer:
    observer = Observer()
    observer.look(0)
    return observer


def test_coverage_starts_with_the_first_observation(observer: Observer) -> None:
    for _ in range(10):
        observer.look()
    assert observer.spans() == [CoveredTime(T0, T0 + 10 * ROUND - MARGIN)]


def test_coverage_ends_at_the_newest_stored_heartbeat(observer: Observer) -> None:
    observer.look(1000)
    assert observer.tracker.to_store(T0 + 400) == [CoveredTime(T0, T0 + 400)]
    assert observer.tracker.to_store(T0 - 1) == []


def test_ended_refusal_is_excluded_from_coverage(observer: Observer) -> None:
    observer.look(1000, refusals=[Refusal(T0 + 300, T0 + 500)])
    assert observer.spans() == [
        CoveredTime(T0, T0 + 299),
        CoveredTime(T0 + 500, T0 + 1000 - MARGIN),
    ]


def test_coverage_stops_during_a_refusal(observer: Observer) -> None:
    refusing = [Refusal(T0 + 200, None)]
    for _ in range(8):
        observer.look(refusals=refusing)
    assert observer.spans() == [CoveredTime(T0, T0 + 199)]
    observer.tracker.mark_stored(observer.spans(), observer.now)
    assert observer.spans() == []
    observer.look(refusals=[Refusal(T0 + 200, observer.now + 100)])
    assert [span.start for span in observer.spans()] == [T0 + 8 * ROUND + 100]


def test_refusal_that_starts_after_the_observation_extends_no_coverage(observer: Observer) -> None:
    observer.look(refusals=[Refusal(T0 + ROUND + 3, None)])
    observer.look(broken=True, refusals=[Refusal(T0 + ROUND + 3, None)])
    assert observer.spans() == [CoveredTime(T0, T0 + ROUND - MARGIN)]


def test_overlapping_refusals_of_two_workers_are_both_excluded(observer: Observer) -> None:
    refusals = [
        Refusal(T0 + 300, T0 + 500),
        Refusal(T0 + 400, T0 + 600),
        Refusal(T0 + 800, T0 + 850),
    ]
    observer.look(1000, refusals=refusals)
    assert observer.spans() == [
        CoveredTime(T0, T0 + 299),
        CoveredTime(T0 + 600, T0 + 799),
        CoveredTime(T0 + 850, T0 + 1000 - MARGIN),
    ]


@pytest.mark.parametrize(
    "later", [{"broken": True}, {"later": LONGEST_PAUSE + SECOND}], ids=["death", "pause"]
)
def test_coverage_ends_before_a_worker_death_or_a_long_pause(
    observer: Observer, later: dict[str, Any]
) -> None:
    observer.look()
    observer.look(**later)
    resumed_at = observer.now
    observer.look()
    assert observer.spans() == [
        CoveredTime(T0, T0 + ROUND - MARGIN),
        CoveredTime(resumed_at, observer.now - MARGIN),
    ]


def test_no_coverage_without_a_worker(observer: Observer) -> None:
    observer.look()
    observer.look(alive=False)
    observer.look(alive=False)
    observer.look()
    resumed_at = observer.now
    observer.look()
    assert observer.spans()[1:] == [CoveredTime(resumed_at, observer.now - MARGIN)]


def test_coverage_restarts_when_the_clock_is_set_back(observer: Observer) -> None:
    observer.look()
    observer.look(-HOUR)
    resumed_at = observer.now
    observer.look()
    assert observer.spans() == [CoveredTime(resumed_at, observer.now - MARGIN)]


def test_stored_span_that_ended_is_not_reported_again(observer: Observer) -> None:
    observer.look(broken=True)
    observer.look()
    spans = observer.spans()
    observer.tracker.mark_stored(spans, observer.now)
    assert observer.spans() == spans[-1:]
    assert observer.tracker.newest_stored == spans[-1]


events = st.lists(
    st.tuples(
        st.booleans(),  # worker a refuses in this round
        st.booleans(),  # worker b does
        st.sampled_from(["", "", "", "", "broken", "dead"]),
        st.booleans(),  # coverage is reported to the store
    ),
    max_size=30,
)


@given(events)
def test_refusals_breaks_and_absences_are_never_covered(
    rounds: list[tuple[bool, bool, str, bool]],
) -> None:
    observer = Observer()
    observer.look(0)
    since: dict[int, int | None] = {0: None, 1: None}
    bad: list[tuple[int, int]] = []
    claimed: set[CoveredTime] = set()
    for *refuses, event, is_reported in rounds:
        begin = observer.now
        refusals = []
        for worker, refusing in enumerate(refuses):
            start = since[worker]
            if refusing and start is None:
                since[worker] = begin + 20 + worker
                refusals.append(Refusal(begin + 20 + worker, None))
            elif refusing and start is not None:
                refusals.append(Refusal(start, None))
            elif start is not None:
                refusals.append(Refusal(start, begin + 60 + worker))
                bad.append((start, begin + 60 + worker - 1))
                since[worker] = None
        observer.look(alive=event != "dead", broken=event == "broken", refusals=refusals)
        if event:
            bad.append((begin + 1, observer.now - 1))
        if is_reported:
            spans = observer.spans()
            claimed.update(spans)
            observer.tracker.mark_stored(spans, observer.now)
    claimed.update(observer.spans())
    bad += [(start, observer.now) for start in since.values() if start is not None]
    for span in claimed:
        for start, stop in bad:
            assert stop < span.start or start > span.until


def test_repeated_time_after_a_clock_set_back_is_not_covered(observer: Observer) -> None:
    for _ in range(5):
        observer.look(20 * SECOND)
    observer.look(-60 * SECOND)
    observer.look()
    refused = observer.now
    for _ in range(10):
        observer.look(refusals=[Refusal(refused, None)])
    assert all(span.until <= refused for span in observer.spans())
