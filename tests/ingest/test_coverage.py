from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.coverage import LONGEST_PAUSE, CoverageTracker, CoveredTime, Refusal
from monitor.model import HOUR, SECOND

ROUND = 250
MARGIN = 5
T0 = 1_795_395_720_000


class Observer:
    """Looks once a round, as the shipper does."""

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


def test_listening_begins_with_the_first_look_and_goes_on(observer: Observer) -> None:
    for _ in range(10):
        observer.look()
    assert observer.spans() == [CoveredTime(T0, T0 + 10 * ROUND - MARGIN)]


def test_nothing_is_said_beyond_what_is_stored(observer: Observer) -> None:
    observer.look(1000)
    assert observer.tracker.to_store(T0 + 400) == [CoveredTime(T0, T0 + 400)]
    assert observer.tracker.to_store(T0 - 1) == []


def test_a_refusal_that_is_over_cuts_itself_out(observer: Observer) -> None:
    observer.look(1000, refusals=[Refusal(T0 + 300, T0 + 500)])
    assert observer.spans() == [
        CoveredTime(T0, T0 + 299),
        CoveredTime(T0 + 500, T0 + 1000 - MARGIN),
    ]


def test_while_refusing_the_pulse_stands_still(observer: Observer) -> None:
    refusing = [Refusal(T0 + 200, None)]
    for _ in range(8):
        observer.look(refusals=refusing)
    assert observer.spans() == [CoveredTime(T0, T0 + 199)]
    observer.tracker.mark_stored(observer.spans(), observer.now)
    assert observer.spans() == []
    observer.look(refusals=[Refusal(T0 + 200, observer.now + 100)])
    assert [span.start for span in observer.spans()] == [T0 + 8 * ROUND + 100]


def test_a_refusal_seen_early_claims_nothing_beyond_the_look(observer: Observer) -> None:
    observer.look(refusals=[Refusal(T0 + ROUND + 3, None)])
    observer.look(broken=True, refusals=[Refusal(T0 + ROUND + 3, None)])
    assert observer.spans() == [CoveredTime(T0, T0 + ROUND - MARGIN)]


def test_of_two_workers_refusals_the_whole_is_left_out(observer: Observer) -> None:
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
def test_a_death_and_a_long_pause_end_at_the_last_look(
    observer: Observer, later: dict[str, int]
) -> None:
    observer.look()
    observer.look(**later)  # type: ignore[arg-type]
    begun = observer.now
    observer.look()
    assert observer.spans() == [
        CoveredTime(T0, T0 + ROUND - MARGIN),
        CoveredTime(begun, observer.now - MARGIN),
    ]


def test_without_a_worker_nobody_listens(observer: Observer) -> None:
    observer.look()
    observer.look(alive=False)
    observer.look(alive=False)
    observer.look()
    begun = observer.now
    observer.look()
    assert observer.spans()[1:] == [CoveredTime(begun, observer.now - MARGIN)]


def test_after_a_clock_went_back_nothing_is_said_about_the_future(observer: Observer) -> None:
    observer.look()
    observer.look(-HOUR)
    begun = observer.now
    observer.look()
    assert observer.spans() == [CoveredTime(begun, observer.now - MARGIN)]


def test_what_was_told_and_is_over_is_not_told_again(observer: Observer) -> None:
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
        st.booleans(),  # the store is told
    ),
    max_size=30,
)


@given(events)
def test_no_moment_of_refusing_breaking_or_absence_is_ever_claimed(
    rounds: list[tuple[bool, bool, str, bool]],
) -> None:
    observer = Observer()
    observer.look(0)
    since: dict[int, int | None] = {0: None, 1: None}
    bad: list[tuple[int, int]] = []
    claimed: set[CoveredTime] = set()
    for *refuses, event, tell in rounds:
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
        if tell:
            spans = observer.spans()
            claimed.update(spans)
            observer.tracker.mark_stored(spans, observer.now)
    claimed.update(observer.spans())
    bad += [(start, observer.now) for start in since.values() if start is not None]
    for span in claimed:
        for start, stop in bad:
            assert stop < span.start or start > span.until


def test_after_the_clock_went_back_what_comes_again_is_not_claimed(observer: Observer) -> None:
    for _ in range(5):
        observer.look(20 * SECOND)
    observer.look(-60 * SECOND)
    observer.look()
    refused = observer.now
    for _ in range(10):
        observer.look(refusals=[Refusal(refused, None)])
    assert all(span.until <= refused for span in observer.spans())
