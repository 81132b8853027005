"""The notifier, with servers that receive its messages."""

import json
import logging
import threading
from typing import Any

import pytest
from sqlalchemy import Engine

from monitor.channels.email import Email
from monitor.channels.interface import Message, SendFailed
from monitor.channels.webhook import Webhook
from monitor.errors import StateUnavailable
from monitor.model import DAY, HOUR, MINUTE, SECOND
from monitor.outbox import outcomes
from monitor.outbox.delivery import Delivery, send_test
from monitor.outbox.policy import GIVE_UP_AFTER
from monitor.state.database import open_state
from monitor.state.migrating import migrate
from tests.delivering import FRAME, delivery
from tests.outages import INTERVAL, NOW, WAIT, Outages, rows
from tests.receiver import Receiver
from tests.smtp import Mailbox
from tests.waiting import eventually

DUE = NOW + WAIT


@pytest.fixture
def outages(state: Engine) -> Outages:
    outages = Outages(state, ["webhook"])
    outages.sensors(1, 2, 3)
    return outages


class CallingChannel:
    """A channel that calls a function at each send."""

    name = "webhook"

    def __init__(self, on_send: Any) -> None:
        self.on_send = on_send
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)
        self.on_send()


def webhook_to(state: Engine, hook: Receiver) -> Delivery:
    return delivery(state, [Webhook(hook.url, allow_internal=True)])


def test_outage_causes_one_down_and_one_recovered_message_per_channel(
    state: Engine, hook: Receiver, box: Mailbox
) -> None:
    outages = Outages(state, ["email", "webhook"])
    outages.sensors(*range(1, 51))
    outages.down(*range(1, 51))
    email = Email("127.0.0.1", box.port, "none", "", "", "m@example.org", ["n@example.org"])
    notifier = delivery(state, [email, Webhook(hook.url, allow_internal=True)])
    assert notifier.deliver_once(NOW) == 0
    assert notifier.deliver_once(DUE) == 2
    outages.up(*range(1, 51), now=DUE + MINUTE)
    assert notifier.deliver_once(DUE + 2 * MINUTE) == 2
    assert notifier.deliver_once(DUE + DAY) == 0
    assert [message["Subject"] for message in box.messages] == [
        "All 50 sensors at Site X silent since 2026-11-23 00:52:00 UTC",
        "Recovered: 50 sensors at Site X, silent for up to 11 min 29 s",
    ]
    bodies = [json.loads(request.body) for request in hook.requests]
    assert [(body["kind"], body["count"]) for body in bodies] == [("down", 50), ("recovered", 50)]
    keys = [request.headers["Idempotency-Key"] for request in hook.requests]
    assert keys == [body["key"] for body in bodies]
    assert len(set(keys)) == 2
    assert {row.state for row in rows(state)} == {"sent"}
    assert outages.closed()


def test_temporary_failure_is_tried_again_with_the_identical_message(
    state: Engine, state_url: str, outages: Outages, hook: Receiver
) -> None:
    outages.down(1)
    hook.status = 503
    assert webhook_to(state, hook).deliver_once(DUE) == 1
    (row,) = rows(state)
    assert (row.state, row.attempts, row.outcome) == ("pending", 1, "answer 503")
    assert DUE + 5 * SECOND <= row.next_attempt_at <= DUE + 6 * SECOND
    outages.down(2, now=DUE)
    restarted = open_state(state_url)
    after_restart = webhook_to(restarted, hook)
    assert after_restart.deliver_once(row.next_attempt_at - 1) == 0
    hook.status = 200
    assert after_restart.deliver_once(row.next_attempt_at) == 1
    first, second = hook.requests
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert rows(state)[0].state == "sent"
    assert rows(state)[0].outcome is None
    assert after_restart.deliver_once(DUE + INTERVAL) == 1
    assert outages.members() == [{1}, {2}]
    restarted.dispose()


def test_retry_after_header_is_obeyed(state: Engine, outages: Outages, hook: Receiver) -> None:
    outages.down(1)
    hook.status, hook.headers = 429, {"Retry-After": "1800"}
    webhook_to(state, hook).deliver_once(DUE)
    assert rows(state)[0].next_attempt_at >= DUE + 30 * MINUTE


def test_permanent_failure_is_not_tried_again(
    state: Engine, outages: Outages, hook: Receiver
) -> None:
    outages.down(1)
    hook.status = 410
    webhook_to(state, hook).deliver_once(DUE)
    assert outages.ledger() == [("down", "failed", "answer 410")]
    assert webhook_to(state, hook).deliver_once(DUE + DAY) == 0


def test_message_fails_after_three_days_of_attempts(
    state: Engine, outages: Outages, hook: Receiver
) -> None:
    outages.down(1)
    hook.status = 500
    notifier = webhook_to(state, hook)
    notifier.deliver_once(DUE)
    while (row := rows(state)[0]).state == "pending":
        assert notifier.deliver_once(row.next_attempt_at) == 1
    assert (row.state, row.outcome) == ("failed", "answer 500")
    assert row.finished_at == DUE + GIVE_UP_AFTER
    assert 70 < row.attempts < 90


def test_error_inside_a_channel_is_a_temporary_failure_and_logs_no_secret(
    state: Engine, outages: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outages.down(1)
    secret = f"hunter{2}"

    def fail() -> None:
        raise ValueError(secret)

    assert delivery(state, [CallingChannel(fail)]).deliver_once(DUE) == 1
    (row,) = rows(state)
    assert (row.state, row.outcome) == ("pending", "an error in the channel (ValueError)")
    assert secret not in caplog.text
    assert "in fail" in caplog.text


def test_send_that_hangs_fails_and_the_channel_is_not_used_until_it_ends(
    state: Engine, outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.outbox.channel_workers.SEND_LIMIT", 0.05)
    free = threading.Event()
    channel = CallingChannel(lambda: free.wait(20))
    notifier = delivery(state, [channel])
    outages.down(1)
    assert notifier.deliver_once(DUE) == 1
    assert rows(state)[0].state == "pending"
    assert "not finished" in rows(state)[0].outcome
    assert notifier.deliver_once(DUE + HOUR) == 0
    free.set()
    eventually(lambda: notifier.deliver_once(DUE + HOUR) == 1)
    first, second = channel.sent
    assert first == second


def test_message_is_sent_once_if_the_state_is_unavailable_during_the_send(
    state: Engine, outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.outbox.delivery._RECORD_PAUSES", (0, 0, 0))
    record, calls = outcomes.record_sent, []

    def away_twice(*arguments: Any) -> bool:
        calls.append(arguments)
        if len(calls) <= 2:
            raise StateUnavailable("gone for a moment")
        return record(*arguments)

    monkeypatch.setattr(outcomes, "record_sent", away_twice)
    channel = CallingChannel(lambda: None)
    outages.down(1)
    assert delivery(state, [channel]).deliver_once(DUE) == 1
    assert (len(calls), len(channel.sent)) == (3, 1)
    assert rows(state)[0].state == "sent"


def test_notifier_delivers_on_one_channel_while_another_hangs(
    state: Engine, hook: Receiver
) -> None:
    outages = Outages(state, ["slow", "webhook"])
    outages.sensors(1)
    outages.down(1, now=NOW - DAY)
    free, stop = threading.Event(), threading.Event()
    slow = CallingChannel(lambda: free.wait(20))
    slow.name = "slow"
    notifier = delivery(state, [slow, Webhook(hook.url, allow_internal=True)])
    loop = threading.Thread(target=notifier.run, args=(stop.is_set,))
    loop.start()
    try:
        eventually(lambda: slow.sent)
        eventually(lambda: hook.requests)
    finally:
        stop.set()
        free.set()
        loop.join(20)
    assert not loop.is_alive()
    assert {row.state for row in rows(state)} == {"sent"}


def test_notifier_continues_after_the_state_was_unavailable(
    state_url: str, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.outbox.delivery._BACK_OFF", 0.02)
    monkeypatch.setattr("monitor.outbox.delivery._POLL", 0.02)
    engine, stop = open_state(state_url), threading.Event()
    loop = threading.Thread(target=webhook_to(engine, hook).run, args=(stop.is_set,))
    loop.start()
    try:
        migrate(engine)
        outages = Outages(engine, ["webhook"])
        outages.sensors(1)
        outages.down(1, now=NOW - DAY)
        eventually(lambda: hook.requests)
    finally:
        stop.set()
        loop.join(20)
    engine.dispose()


def test_two_notifiers_send_each_message_once(
    state: Engine, state_url: str, hook: Receiver
) -> None:
    for number in range(15):
        outages = Outages(state, ["webhook"], cohort=f"site:{number}")
        outages.sensors(number, site=f"{number}")
        outages.down(number, now=NOW - DAY)
    engines = [open_state(state_url) for _ in range(2)]
    stop = threading.Event()
    loops = [
        threading.Thread(target=webhook_to(engine, hook).run, args=(stop.is_set,))
        for engine in engines
    ]
    for loop in loops:
        loop.start()
    try:
        eventually(lambda: all(row.state == "sent" for row in rows(state)))
    finally:
        stop.set()
        for loop in loops:
            loop.join(20)
    keys = [request.headers["Idempotency-Key"] for request in hook.requests]
    assert len(keys) == len(set(keys)) == 15
    for engine in engines:
        engine.dispose()


def test_test_message_is_sent_or_raises_send_failed(hook: Receiver) -> None:
    channel = Webhook(hook.url, allow_internal=True)
    send_test(channel, NOW, FRAME)
    assert json.loads(hook.requests[0].body)["kind"] == "test"
    hook.status = 404
    with pytest.raises(SendFailed, match="404"):
        send_test(channel, NOW, FRAME)
