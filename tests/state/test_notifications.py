"""The outbox: enqueuing, claims, members and results of messages."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine

from monitor.errors import StateUnavailable
from monitor.model import HOUR, MINUTE, SECOND, MessageContext
from monitor.outbox import claims, notifications, outcomes
from monitor.outbox.candidates import RecipientConfig
from monitor.outbox.claims import Claim
from monitor.outbox.notifications import Body
from monitor.state import incidents
from monitor.state.database import open_state, reading, writing
from tests.outages import INTERVAL, NOW, WAIT, Outages, let_claims_run_out, rows

DUE = NOW + WAIT
CLAIM = MINUTE
CONFIG = RecipientConfig(hold=lambda _connection, _members, _kind, _now: {})


def compose(context: MessageContext) -> Body:
    return {
        "kind": context.kind,
        "macs": [member.mac for member in context.members],
        "silent": context.silent,
        "site": context.site,
        "neighbours": context.neighbours,
    }


def claim(state: Engine, now: int = DUE, channel: str = "email") -> Claim | None:
    return claims.claim(state, channel, "a", now, CLAIM, compose, CONFIG)


def sent(state: Engine, now: int = DUE) -> Body:
    """Claim the message that must be due, and record it as sent."""
    got = claim(state, now)
    assert got is not None
    assert outcomes.record_sent(state, got, now)
    return got.body


@pytest.fixture
def outages(state: Engine) -> Outages:
    outages = Outages(state, ["email"])
    outages.sensors(1, 2, 3, 4, 5)
    return outages


# --- Gathering ---------------------------------------------------------------------------------


def test_incidents_within_the_group_wait_become_one_message(
    state: Engine, outages: Outages
) -> None:
    outages.down(1, 2)
    outages.down(3, now=NOW + 20 * SECOND)
    assert claim(state, DUE - 1) is None
    body = sent(state)
    assert body["macs"] == [1, 2, 3]
    assert claim(state, DUE + HOUR) is None
    assert outages.members() == [{1, 2, 3}]


def test_later_incident_waits_for_the_group_interval(state: Engine, outages: Outages) -> None:
    outages.down(1)
    sent(state)
    outages.down(2, now=DUE + SECOND)
    assert claim(state, DUE + INTERVAL - 1) is None
    body = sent(state, DUE + INTERVAL)
    assert (body["macs"], body["silent"]) == ([2], 2)


def test_much_later_incident_waits_for_the_group_wait_again(
    state: Engine, outages: Outages
) -> None:
    outages.down(1)
    sent(state)
    outages.down(2, now=DUE + HOUR)
    outages.down(3, now=DUE + HOUR + SECOND)
    assert claim(state, DUE + HOUR + WAIT - 1) is None
    assert sent(state, DUE + HOUR + WAIT)["macs"] == [2, 3]


def test_each_channel_gets_its_own_message(state: Engine) -> None:
    outages = Outages(state, ["email", "webhook"])
    outages.sensors(1)
    outages.down(1)
    first, second = claim(state), claim(state, channel="webhook")
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert first.body == second.body


def test_context_has_the_site_its_size_and_the_number_down(state: Engine, outages: Outages) -> None:
    outages.down(1, 2)
    body = sent(state)
    assert (body["silent"], body["site"], body["neighbours"]) == (2, "Site X", 5)


def test_members_of_different_sites_have_no_common_site(state: Engine, outages: Outages) -> None:
    outages.sensors(6, site="Site Y")
    outages.sensors(7, site=None)
    outages.down(1, 6, 7)
    body = sent(state)
    assert (body["site"], body["neighbours"]) == (None, None)


def test_members_are_sorted_by_last_seen(state: Engine, outages: Outages) -> None:
    outages.down(1)
    outages.down(2, last_seen=NOW - HOUR)
    assert sent(state)["macs"] == [2, 1]


# --- Cancelling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("recovered", "recovered"),
        ("paused", "the sensor was paused"),
        ("threshold changed", "the threshold was changed"),
        ("forgotten", "the sensor was removed"),
    ],
)
def test_message_is_cancelled_when_all_incidents_closed_before_it_was_sent(
    state: Engine, outages: Outages, reason: str, words: str
) -> None:
    outages.down(1)
    outages.up(1, now=NOW + SECOND, reason=reason)
    assert claim(state, DUE + HOUR) is None
    assert outages.ledger()[0] == ("down", "cancelled", f"{words} first")
    if reason == "recovered":
        assert outages.ledger()[1] == ("recovered", "cancelled", "no alert was sent")
    assert outages.closed()


def test_message_is_cancelled_when_all_were_acknowledged_before_it_was_sent(
    state: Engine, outages: Outages
) -> None:
    outages.down(1)
    outages.acknowledge(1)
    assert claim(state) is None
    assert outages.ledger() == [("down", "cancelled", "the incident was acknowledged first")]
    assert not outages.closed()


def test_message_lists_only_sensors_that_are_still_down(state: Engine, outages: Outages) -> None:
    outages.down(1, 2)
    outages.up(1, now=NOW + SECOND)
    assert sent(state)["macs"] == [2]
    assert claim(state, DUE + HOUR) is None
    assert outages.ledger()[1:] == [("recovered", "cancelled", "no alert was sent")]


def test_joined_group_cancels_messages_that_are_not_frozen(state: Engine, outages: Outages) -> None:
    outages.down(1)
    with writing(state) as connection:
        assert incidents.unreported(connection, [outages.group]) == {outages.group}
        assert notifications.cancel_unfrozen(connection, outages.group, "joined", NOW) == 1
        assert notifications.cancel_unfrozen(connection, outages.group, "joined", NOW) == 0
    assert outages.ledger() == [("down", "cancelled", "joined")]
    outages.down(2)
    sent(state)
    with writing(state) as connection:
        assert incidents.unreported(connection, [outages.group]) == set()
        assert notifications.cancel_unfrozen(connection, outages.group, "joined", NOW) == 0


# --- Recovery ----------------------------------------------------------------------------------


def test_recovery_is_sent_once_to_notified_recipients(state: Engine, outages: Outages) -> None:
    outages.down(1, 2)
    sent(state)
    outages.up(1, now=DUE + MINUTE)
    body = sent(state, DUE + MINUTE + WAIT)
    assert (body["kind"], body["macs"], body["silent"]) == ("recovered", [1], 1)
    assert not outages.closed()
    outages.up(2, now=DUE + 20 * MINUTE)
    assert sent(state, DUE + 21 * MINUTE)["macs"] == [2]
    assert outages.closed()
    assert claim(state, DUE + 24 * HOUR) is None


def test_recovery_waits_for_the_down_message(state: Engine, outages: Outages) -> None:
    outages.down(1)
    down = claim(state)
    assert down is not None
    outages.up(1, now=DUE)
    assert claim(state, DUE + WAIT) is None
    again = DUE + 10 * MINUTE
    outcomes.record_retry(state, down, "answer 503", again, DUE + WAIT)
    assert claim(state, DUE + 5 * MINUTE) is None
    assert sent(state, again)["kind"] == "down"
    assert sent(state, again + 10 * SECOND)["kind"] == "recovered"
    assert outages.closed()


def test_recovery_is_cancelled_when_the_down_message_failed(
    state: Engine, outages: Outages
) -> None:
    outages.down(1)
    down = claim(state)
    assert down is not None
    outcomes.record_failed(state, down, "answer 404", DUE)
    outages.up(1, now=DUE)
    assert claim(state, DUE + WAIT) is None
    assert outages.ledger() == [
        ("down", "failed", "answer 404"),
        ("recovered", "cancelled", "the alert was never delivered"),
    ]
    assert outages.closed()


def test_members_of_a_failed_message_are_in_the_next(state: Engine, outages: Outages) -> None:
    outages.down(1)
    down = claim(state)
    assert down is not None
    outcomes.record_failed(state, down, "answer 404", DUE)
    outages.down(2, now=DUE)
    assert sent(state, DUE + INTERVAL)["macs"] == [1, 2]
    outages.up(1, 2, now=DUE + INTERVAL)
    assert sent(state, DUE + 2 * INTERVAL)["macs"] == [1, 2]


def test_sensor_that_goes_down_again_is_notified_again(state: Engine, outages: Outages) -> None:
    outages.down(1, 2)
    sent(state)
    outages.up(1, now=DUE + MINUTE)
    sent(state, DUE + MINUTE + WAIT)
    outages.down(1, now=DUE + HOUR)
    assert sent(state, DUE + HOUR + WAIT)["macs"] == [1]
    outages.up(1, 2, now=DUE + 2 * HOUR)
    assert sent(state, DUE + 2 * HOUR + WAIT)["macs"] == [2, 1]


# --- Claims ------------------------------------------------------------------------------------


def test_claimed_message_cannot_be_claimed_until_the_claim_expires(
    state: Engine, outages: Outages
) -> None:
    outages.down(1)
    first = claim(state)
    assert first is not None
    assert claim(state, DUE + HOUR) is None
    let_claims_run_out(state)
    second = claims.claim(state, "email", "b", DUE + HOUR, CLAIM, _must_not_compose, CONFIG)
    assert second is not None
    assert (second.key, second.body, second.attempt) == (first.key, first.body, 2)
    assert not outcomes.record_sent(state, first, DUE)
    assert not outcomes.record_retry(state, first, "late", DUE, DUE)
    assert [row.state for row in rows(state)] == ["claimed"]
    assert outcomes.record_sent(state, second, DUE)


def _must_not_compose(_: MessageContext) -> Body:
    raise AssertionError("it was frozen before")


def test_expired_claim_is_taken_over(state: Engine, outages: Outages) -> None:
    outages.down(1)
    assert claims.claim(state, "email", "a", DUE, -1, compose, CONFIG) is not None
    again = claims.claim(state, "email", "b", DUE, CLAIM, compose, CONFIG)
    assert again is not None
    assert again.attempt == 2


def test_concurrent_notifiers_never_claim_the_same_message(state_url: str, state: Engine) -> None:
    for number in range(12):
        outages = Outages(state, ["email"], cohort=f"site:{number}")
        outages.sensors(number, site=f"{number}")
        outages.down(number)
    start = Barrier(4)

    def work(number: int) -> list[str]:
        engine = open_state(state_url)
        keys = []
        start.wait(10)
        while True:
            got = claims.claim(engine, "email", f"{number}", DUE, CLAIM, compose, CONFIG)
            if got is None:
                if not claims.due_channels(engine, DUE):
                    break
                continue  # others have claimed what is due
            keys.append(got.key)
        engine.dispose()
        return keys

    with ThreadPoolExecutor(4) as pool:
        claimed = [key for keys in pool.map(work, range(4)) for key in keys]
    assert len(claimed) == 12
    assert sorted(claimed) == sorted(row.key for row in rows(state))
    assert all(row.attempts == 1 for row in rows(state))


def test_incident_opened_while_a_message_is_frozen_is_sent_exactly_once(
    state_url: str, state: Engine
) -> None:
    outages = Outages(state, ["email"])
    outages.sensors(*range(60))

    def sweep() -> None:
        for mac in range(60):
            outages.down(mac)

    later = itertools.count(DUE, INTERVAL)

    def deliver() -> None:
        engine = open_state(state_url)
        while not sweeping.done():
            got = claims.claim(engine, "email", "n", next(later), CLAIM, compose, CONFIG)
            if got is not None:
                outcomes.record_sent(engine, got, NOW)
        engine.dispose()

    with ThreadPoolExecutor(2) as pool:
        sweeping = pool.submit(sweep)
        pool.submit(deliver).result()
        sweeping.result()
    claim(state, next(later))
    sent_macs = [mac for macs in outages.members() for mac in macs]
    assert sorted(sent_macs) == list(range(60))


def test_no_message_is_frozen_while_the_sweep_locks_the_group(
    state: Engine, outages: Outages
) -> None:
    outages.down(1)
    with ThreadPoolExecutor(1) as pool:
        with outages.holding() as sweep:
            claiming = pool.submit(claim, state)
            if state.dialect.name == "postgresql":
                assert claiming.result(20) is None  # skipped until the next round
            else:
                with pytest.raises(TimeoutError):
                    claiming.result(0.3)
            outages.open(sweep, 2)  # enqueues nothing: the message is not frozen yet
        claimed = claiming.result(20) or claim(state)
    assert claimed is not None
    assert claimed.body["macs"] == [1, 2]


def test_error_while_freezing_is_rolled_back(state: Engine, outages: Outages) -> None:
    outages.down(1)
    with pytest.raises(AssertionError):
        claims.claim(state, "email", "a", DUE, CLAIM, _must_not_compose, CONFIG)
    (row,) = rows(state)
    assert (row.state, row.attempts, row.body, row.claimed_by) == ("pending", 0, None, None)
    assert outages.members() == [set()]


def test_unreachable_outbox_raises_state_unavailable(tmp_path: Path) -> None:
    engine = open_state(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StateUnavailable):
        claims.claim(engine, "email", "a", NOW, CLAIM, compose, CONFIG)
    with pytest.raises(StateUnavailable), reading(engine) as connection:
        incidents.unreported(connection, [1])
