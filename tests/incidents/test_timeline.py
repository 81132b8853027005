"""The timeline of an incident."""

import pytest
from sqlalchemy import Engine

from monitor.incidents.timeline import TimelineEntry, build_timeline
from monitor.model import HOUR, MINUTE, SECOND
from monitor.state import ledger
from monitor.state.database import reading
from tests.cases import NOW, Cases

FROZEN = NOW + 30 * SECOND
LATER = NOW + HOUR


@pytest.fixture
def cases(state: Engine) -> Cases:
    return Cases(state)


def timeline(state: Engine, number: int, now: int = LATER) -> list[TimelineEntry]:
    with reading(state) as connection:
        case = ledger.find(connection, number)
        assert case is not None
        (facts,) = ledger.facts(connection, [case])
    return build_timeline(facts, now)


def texts(state: Engine, number: int, channel: str | None = "email", now: int = LATER) -> list[str]:
    """The texts about one channel."""
    return [entry.text for entry in timeline(state, number, now) if entry.channel == channel]


def test_timeline_has_each_attempt_with_time_and_result(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    tries = [(FROZEN + SECOND, "retry", "451 try later"), (FROZEN + MINUTE, "sent", None)]
    cases.message(group, [number], tries, state="sent", finished_at=FROZEN + MINUTE)
    entries = [entry for entry in timeline(state, number) if entry.channel]
    assert [(entry.at, entry.event, entry.text) for entry in entries] == [
        (FROZEN, "written", "the alert was written: Boiler silent"),
        (
            FROZEN + SECOND,
            "retry",
            "the alert was not sent and will be tried again (attempt 1): 451 try later",
        ),
        (FROZEN + MINUTE, "sent", "the alert was sent (attempt 2)"),
    ]


def test_timeline_has_opening_acknowledgement_and_closing(state: Engine, cases: Cases) -> None:
    number = cases.incident(
        1,
        cases.group(),
        proven=False,
        acknowledged_at=NOW + MINUTE,
        acknowledged_by="email by link",
        closed_at=NOW + HOUR,
        closed_reason="recovered",
        recovered_at=NOW + HOUR - SECOND,
    )
    assert texts(state, number, None) == [
        "silent since 2026-11-23 00:51:00 UTC, longer than its threshold of 10 min; "
        "presumed down, because monitoring was blind or refused its heartbeats",
        "no one was notified: there is no channel",
        "acknowledged by email by link",
        "closed: recovered, first heartbeat at 2026-11-23 02:01:59 UTC",
    ]


def test_failed_message_has_its_reason(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    tries = [(FROZEN, "failed", "550 no such mailbox")]
    cases.message(group, [number], tries, state="failed", finished_at=FROZEN, outcome="550")
    assert texts(state, number)[-1] == (
        "the alert could not be sent (attempt 1): 550 no such mailbox"
    )
    cases.message(
        group,
        state="failed",
        channel="pager",
        finished_at=LATER,
        outcome="no notifier serves this channel",
    )
    assert texts(state, number, "pager") == [
        "the alert could not be sent: no notifier serves this channel"
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"closed_at": NOW + 9, "closed_reason": "recovered"}, "recovered"),
        ({"closed_at": NOW + 9, "closed_reason": "paused"}, "the sensor was paused"),
        ({"acknowledged_at": NOW + 9}, "the incident was acknowledged"),
    ],
)
def test_message_not_sent_has_the_reason(
    state: Engine, cases: Cases, values: dict[str, object], reason: str
) -> None:
    group = cases.group()
    number, other = cases.incident(1, group, **values), cases.incident(2, group)
    words = [f"the alert was not sent: {reason} first"]
    cancelled = cases.message(group, state="cancelled", finished_at=FROZEN, outcome="…")
    assert cancelled
    assert texts(state, number) == words
    cases.message(group, [other], channel="sms", state="sent", finished_at=FROZEN)
    assert texts(state, number, "sms") == words


def test_recovery_without_an_alert_has_the_reason(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group, closed_at=NOW + 9, closed_reason="recovered")
    cases.message(
        group,
        kind="recovered",
        state="cancelled",
        created_at=NOW + 9,
        finished_at=FROZEN,
        outcome="no alert was sent",
    )
    assert texts(state, number) == ["the recovery message was not sent: no alert was sent"]


def test_held_message_has_the_end_and_reason_of_the_hold(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    cases.message(group, held_until=LATER + HOUR)
    cases.suppress(number, "silenced until morning: works", until=LATER + HOUR)
    cases.suppress(number, "daily message limit reached (5)", channel="sms")
    assert texts(state, number) == [
        "the alert was held until 2026-11-23 03:02:00 UTC: silenced until morning: works",
    ]
    assert texts(state, number, "sms") == [
        "the alert was not sent: daily message limit reached (5)"
    ]


def test_message_over_the_daily_limit_has_the_reason(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    cases.message(group, held_until=LATER + HOUR, outcome="daily message limit reached (5)")
    assert texts(state, number) == ["the alert is held: daily message limit reached (5)"]


def test_reminder_ends_at_the_acknowledgement(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group, acknowledged_at=NOW + MINUTE)
    cases.message(group, kind="reminder", next_attempt_at=LATER + HOUR)
    (entry,) = [entry for entry in timeline(state, number) if entry.channel]
    assert (entry.at, entry.text) == (
        NOW + MINUTE,
        "a reminder was not sent: the incident was acknowledged first",
    )
    cases.message(group, kind="flapping")
    assert len(texts(state, number)) == 1


def test_waiting_messages_are_last(state: Engine, cases: Cases) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    cases.message(group)
    cases.message(group, [number], channel="sms", next_attempt_at=LATER + MINUTE)
    cases.message(group, [number], channel="chat", state="claimed")
    entries = timeline(state, number, NOW + SECOND)
    assert texts(state, number, now=NOW + SECOND) == ["the alert will be sent"]
    assert entries[-1] == TimelineEntry(
        LATER + MINUTE, "sms", "down", "waiting", "the alert will be sent", LATER + MINUTE
    )
    assert texts(state, number, "chat")[-1] == "the alert is being sent"


def test_timeline_leaves_out_messages_about_other_incidents(state: Engine, cases: Cases) -> None:
    group = cases.group()
    first, second = cases.incident(1, group), cases.incident(2, group, opened_at=NOW + MINUTE)
    cases.message(group, [first], state="sent", finished_at=FROZEN)
    cases.message(
        group,
        [second],
        created_at=NOW + MINUTE,
        frozen_at=NOW + 6 * MINUTE,
        state="sent",
        finished_at=NOW + 6 * MINUTE,
        body={"subject": "1 more sensor silent"},
    )
    assert texts(state, first) == ["the alert was written: Boiler silent", "the alert was sent"]
    assert texts(state, second) == [
        "the alert was written: 1 more sensor silent",
        "the alert was sent",
    ]
