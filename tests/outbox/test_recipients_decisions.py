"""Which incidents a message reports: `recipients.choose` and `recipients.decide`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import DAY, HOUR, MINUTE, Held, Member
from monitor.outbox import recipients
from monitor.outbox.recipients import Candidate, Due, TooEarly, Undeliverable, choose, decide

NOW = 1_795_395_720_000  # 2026-11-23T01:02:00Z
CREATED = NOW - MINUTE
BEFORE, AFTER = CREATED - 1, CREATED + 1
SILENCE = Held(NOW + HOUR, "silence 3 (works)")
COVERED = "an earlier message covers all incidents"


def due(kind: str, delay: int = 0, tracks: bool = False) -> Due:
    return Due(kind, CREATED, delay, tracks)


def member(opened_at: int = NOW - DAY) -> Member:
    return Member(1, None, None, opened_at - 10 * MINUTE, 10 * MINUTE, True, opened_at, None)


def candidate(
    acknowledged: bool = False,
    closed: str | None = None,
    ended_at: int | None = None,
    **down: Any,
) -> Candidate:
    return Candidate(member(), acknowledged, closed, ended_at, **down)


OPEN = candidate()
ALERTED = candidate(down_state="sent")
ACKNOWLEDGED = candidate(acknowledged=True, ended_at=AFTER)
RECOVERED = candidate(closed="recovered", ended_at=AFTER, down_state="sent")
PAUSED = candidate(closed="paused", ended_at=AFTER, down_state="sent")


@pytest.mark.parametrize(
    ("candidates", "reported", "dropped"),
    [
        ({1: OPEN, 2: OPEN}, {1, 2}, {}),
        ({1: OPEN, 2: ACKNOWLEDGED}, {1}, {2: "the incident was acknowledged first"}),
        (
            {1: OPEN, 2: candidate(closed="recovered", ended_at=AFTER)},
            {1},
            {2: "recovered first"},
        ),
        (
            {1: OPEN, 2: candidate(acknowledged=True, closed="paused", ended_at=AFTER)},
            {1},
            {2: "the sensor was paused first"},
        ),
        (
            {1: OPEN, 2: candidate(closed="recovered", ended_at=CREATED)},
            {1},
            {2: "recovered first"},
        ),
        ({1: OPEN, 2: candidate(acknowledged=True, ended_at=BEFORE)}, {1}, {}),
    ],
    ids=[
        "open",
        "acknowledged after it was enqueued",
        "recovered after it was enqueued",
        "acknowledged and then paused",
        "recovered at the moment it was enqueued",
        "acknowledged before it was enqueued",
    ],
)
def test_down_message_reports_open_incidents_that_are_not_acknowledged(
    candidates: dict[int, Candidate], reported: set[int], dropped: dict[int, str]
) -> None:
    members, reasons = choose(due("down"), candidates, covered=False)
    assert members.keys() == reported
    assert reasons == dropped


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ({}, COVERED),
        ({1: candidate(acknowledged=True, ended_at=BEFORE)}, COVERED),
        ({1: ACKNOWLEDGED}, "the incident was acknowledged first"),
        (
            {1: ACKNOWLEDGED, 2: RECOVERED, 3: RECOVERED},
            "recovered first, the incident was acknowledged first",
        ),
    ],
    ids=["none", "acknowledged earlier", "acknowledged", "acknowledged and recovered"],
)
def test_down_message_without_open_incidents_is_undeliverable(
    candidates: dict[int, Candidate], reason: str
) -> None:
    with pytest.raises(Undeliverable) as caught:
        choose(due("down"), candidates, covered=True)
    assert str(caught.value) == reason


@pytest.mark.parametrize("tracks", [False, True])
def test_down_message_to_a_tracking_receiver_leaves_out_acknowledged_incidents(
    tracks: bool,
) -> None:
    members, _ = choose(due("down", tracks=tracks), {1: OPEN, 2: ACKNOWLEDGED}, covered=False)
    assert members.keys() == {1}


REMINDED = {
    1: ALERTED,
    2: candidate(acknowledged=True, down_state="sent"),
    3: candidate(down_state="waiting", down_due=NOW),
    4: candidate(down_state="failed"),
    5: OPEN,
    6: RECOVERED,
}


@pytest.mark.parametrize(
    ("tracks", "reported"), [(False, {1}), (True, {1, 2})], ids=["others", "tracking"]
)
def test_reminder_reports_open_incidents_whose_down_message_was_sent(
    tracks: bool, reported: set[int]
) -> None:
    members, dropped = choose(due("reminder", tracks=tracks), REMINDED, covered=False)
    assert members.keys() == reported
    assert dropped == {}


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
def test_reminder_without_such_an_incident_is_undeliverable(number: int) -> None:
    with pytest.raises(Undeliverable, match=r"^the incidents were acknowledged or closed first$"):
        choose(due("reminder"), {1: REMINDED[number]}, covered=True)


def test_flapping_message_reports_open_acknowledged_and_closed_incidents() -> None:
    candidates = {1: OPEN, 2: ACKNOWLEDGED, 3: RECOVERED, 4: PAUSED}
    members, dropped = choose(due("flapping"), candidates, covered=False)
    assert members.keys() == candidates.keys()
    assert dropped == {}


def test_flapping_message_without_candidates_is_undeliverable() -> None:
    with pytest.raises(Undeliverable, match=f"^{COVERED}$"):
        choose(due("flapping"), {}, covered=True)


@pytest.mark.parametrize(
    ("tracks", "reported"), [(False, {1}), (True, {1, 2})], ids=["others", "tracking"]
)
def test_recovered_message_reports_closed_incidents_whose_down_message_was_sent(
    tracks: bool, reported: set[int]
) -> None:
    candidates = {
        1: RECOVERED,
        2: PAUSED,
        3: ALERTED,
        4: candidate(closed="recovered"),
        5: candidate(closed="recovered", down_state="failed"),
    }
    members, dropped = choose(due("recovered", tracks=tracks), candidates, covered=False)
    assert members.keys() == reported
    assert dropped == {}


def test_recovered_message_waits_for_the_last_down_message_that_is_still_tried() -> None:
    candidates = {
        1: RECOVERED,
        2: candidate(closed="recovered", down_state="waiting", down_due=NOW + MINUTE),
        3: candidate(closed="recovered", down_state="waiting", down_due=NOW + HOUR),
        4: candidate(closed="paused", down_state="waiting", down_due=NOW + DAY),
    }
    with pytest.raises(TooEarly) as caught:
        choose(due("recovered"), candidates, covered=False)
    assert caught.value.until == NOW + HOUR
    with pytest.raises(TooEarly) as caught:
        choose(due("recovered", tracks=True), candidates, covered=False)
    assert caught.value.until == NOW + DAY


FAILED = candidate(closed="recovered", down_state="failed")


@pytest.mark.parametrize(
    ("candidates", "covered", "reason"),
    [
        ({}, False, "no alert was sent"),
        ({1: candidate(closed="recovered")}, False, "no alert was sent"),
        (
            {1: candidate(closed="recovered"), 2: FAILED},
            False,
            "the alert was never delivered",
        ),
        ({1: FAILED}, True, COVERED),
        ({1: PAUSED}, False, "no alert was sent"),
        ({1: ALERTED}, False, "no alert was sent"),
    ],
    ids=["none", "no down message", "failed", "failed, others reported", "paused", "open"],
)
def test_recovered_message_without_such_an_incident_is_undeliverable(
    candidates: dict[int, Candidate], covered: bool, reason: str
) -> None:
    with pytest.raises(Undeliverable) as caught:
        choose(due("recovered"), candidates, covered)
    assert str(caught.value) == reason


def opened(*ages: int) -> dict[int, Member]:
    """Members numbered from 1, opened so many ms ago."""
    return {number: member(NOW - age) for number, age in enumerate(ages, 1)}


@pytest.mark.parametrize(
    ("message", "chosen", "held", "reported", "later"),
    [
        (due("down"), opened(HOUR, 0), {}, [1, 2], None),
        (due("down", delay=HOUR), opened(DAY, HOUR), {}, [1, 2], None),
        (due("down", delay=HOUR), opened(HOUR, HOUR - 1), {}, [1], NOW + 1),
        (due("down", delay=HOUR), opened(MINUTE, 2 * MINUTE), {}, [], NOW + HOUR - 2 * MINUTE),
        (due("down"), opened(DAY, DAY), {2: SILENCE}, [1], SILENCE.until),
        (due("down"), opened(DAY), {1: SILENCE}, [], SILENCE.until),
        (due("down"), opened(DAY, DAY), {1: SILENCE, 2: Held(NOW + 1, "")}, [], NOW + 1),
        (due("down", delay=HOUR), opened(MINUTE), {1: Held(NOW + 1, "")}, [], NOW + 1),
        (due("down", delay=HOUR), opened(0, DAY), {2: SILENCE}, [], NOW + HOUR),
        (due("recovered"), opened(DAY, DAY), {2: SILENCE}, [1], SILENCE.until),
        (due("flapping"), opened(DAY, DAY), {2: SILENCE}, [1], SILENCE.until),
        (due("reminder"), opened(DAY, DAY), {2: SILENCE}, [1], None),
        (due("reminder"), opened(DAY), {1: SILENCE}, [], SILENCE.until),
    ],
    ids=[
        "all",
        "escalation, open for the delay",
        "escalation, one too young",
        "escalation, all too young",
        "one held",
        "all held",
        "all held, one for a shorter time",
        "too young and held",
        "one too young, one held",
        "recovered, one held",
        "flapping, one held",
        "reminder, one held",
        "reminder, all held",
    ],
)
def test_incidents_that_are_held_or_too_young_are_left_out_until_later(
    message: Due,
    chosen: dict[int, Member],
    held: dict[int, Held],
    reported: list[int],
    later: int | None,
) -> None:
    decision = decide(message, chosen, {9: "acknowledged"}, held, NOW)
    assert list(decision.members) == reported
    assert decision.later == later
    assert decision.held == held
    assert decision.dropped == {9: "acknowledged"}


@pytest.mark.parametrize("kind", ["down", "reminder", "recovered"])
def test_message_to_a_tracking_receiver_has_at_most_its_limit_of_members(kind: str) -> None:
    chosen = opened(*[DAY] * (recipients.TRACKING_LIMIT + 1))
    first = list(chosen)[: recipients.TRACKING_LIMIT]
    decision = decide(due(kind, tracks=True), chosen, {}, {}, NOW)
    assert list(decision.members) == first
    assert decision.later == NOW
    at_limit = decide(due(kind, tracks=True), {n: chosen[n] for n in first}, {}, {}, NOW)
    assert (list(at_limit.members), at_limit.later) == (first, None)
    without_limit = decide(due(kind), chosen, {}, {}, NOW)
    assert (without_limit.members, without_limit.later) == (chosen, None)


LIMIT = 3
ages = st.lists(st.integers(0, 2 * HOUR), max_size=8).map(lambda found: opened(*found))
holds = st.dictionaries(st.integers(1, 8), st.integers(NOW + 1, NOW + DAY))
messages = st.builds(
    due,
    st.sampled_from(["down", "reminder", "flapping", "recovered"]),
    st.sampled_from([0, MINUTE, HOUR]),
    st.booleans(),
)


@given(messages, ages, holds)
def test_each_chosen_incident_is_reported_or_left_out_for_one_reason(
    message: Due, chosen: dict[int, Member], held_until: dict[int, int]
) -> None:
    held = {number: Held(held_until[number], "") for number in chosen.keys() & held_until.keys()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipients, "TRACKING_LIMIT", LIMIT)
        decision = decide(message, chosen, {}, held, NOW)
    reportable_at = {number: each.opened_at + message.delay for number, each in chosen.items()}
    young = {number for number in chosen if reportable_at[number] > NOW} - held.keys()
    ready = [number for number in chosen if number not in young and number not in held]
    beyond_limit = set(ready[LIMIT:]) if message.tracks else set()
    parts = [set(decision.members), set(held), young, beyond_limit]
    assert sum(map(len, parts)) == len(chosen)
    assert set().union(*parts) == chosen.keys()

    turns = [reportable_at[number] for number in young] + [NOW for _ in beyond_limit]
    if message.kind != "reminder" or not decision.members:
        turns += [each.until for each in held.values()]
    if turns:
        assert decision.later is not None
        assert decision.later <= min(turns)
    else:
        assert decision.later is None
