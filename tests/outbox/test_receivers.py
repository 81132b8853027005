"""Receivers that fail in different ways, and what the ledger records."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, select

from monitor.channels.email import Email
from monitor.channels.interface import Channel
from monitor.channels.webhook import Webhook
from monitor.incidents.timeline import build_timeline
from monitor.model import DAY, MINUTE, SECOND
from monitor.state import ledger
from monitor.state.database import reading
from monitor.state.tables import notification
from tests.delivering import delivery
from tests.outages import NOW, WAIT, Outages
from tests.receiver import Receiver, receiver
from tests.smtp import Mailbox

DUE = NOW + WAIT
NAMES = ("mail", "works", "hangs", "broken", "busy", "gone")


@dataclass
class Recipients:
    """One mailbox and five webhooks, by name."""

    box: Mailbox
    hooks: dict[str, Receiver] = field(default_factory=dict)
    answer: threading.Event = field(default_factory=threading.Event)

    def channels(self) -> list[Channel]:
        to = ["n@example.org"]
        return [
            Email("127.0.0.1", self.box.port, "none", "", "", "m@example.org", to, "mail"),
            *(
                Webhook(hook.url, allow_internal=True, name=name)
                for name, hook in self.hooks.items()
            ),
        ]


@pytest.fixture
def recipients(box: Mailbox) -> Iterator[Recipients]:
    found = Recipients(box)
    with ExitStack() as stack:
        for name in NAMES[1:]:
            found.hooks[name] = stack.enter_context(receiver())
        found.hooks["hangs"].before_answer = lambda _: found.answer.wait(30)
        found.hooks["broken"].status = 500
        found.hooks["busy"].status = 429
        found.hooks["busy"].headers = {"Retry-After": "900"}
        found.hooks["gone"].status = 410
        box.to_content = lambda: "451 4.3.0 Try again later"
        yield found
        found.answer.set()


def next_due(state: Engine, after: int) -> int | None:
    """The time of the next attempt after this time."""
    with reading(state) as connection:
        due = select(notification.c.next_attempt_at).where(notification.c.state == "pending")
        moments = [moment for moment in connection.scalars(due) if moment > after]
    return min(moments, default=None)


def test_each_receiver_has_the_expected_outcome_in_the_ledger(
    state: Engine, recipients: Recipients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.outbox.channel_workers.SEND_LIMIT", 0.5)
    outages = Outages(state, NAMES)
    outages.sensors(1)
    outages.down(1)
    channels = recipients.channels()
    notifier = delivery(state, channels)  # the second one below stands for a restart
    now: int | None = DUE
    while now is not None and now < DUE + 10 * MINUTE:
        notifier.deliver_once(now)
        now = next_due(state, now)
    assert recipients.box.accepted == []
    assert len(recipients.box.seen) >= 4
    for name in ("broken", "hangs"):
        recipients.hooks[name].status = 200
    recipients.answer.set()
    recipients.hooks["busy"].status = 200
    recipients.box.to_content = lambda: "250 OK"
    notifier = delivery(state, channels)
    while now is not None and now < DUE + DAY:
        notifier.deliver_once(now)
        now = next_due(state, now)

    with reading(state) as connection:
        (case,) = ledger.cases(connection, 10)
        (facts,) = ledger.facts(connection, [case])
    timelines = {
        name: [
            (entry.event, entry.text)
            for entry in build_timeline(facts, DUE + DAY)
            if entry.channel == name
        ]
        for name in NAMES
    }
    ends = {
        name: [event for event, _ in entries if event != "written"]
        for name, entries in timelines.items()
    }
    assert ends["works"] == ["sent"]
    assert ends["gone"] == ["failed"]
    assert ends["busy"] == ["retry", "sent"]
    for name in ("mail", "broken", "hangs"):
        assert set(ends[name][:-1]) == {"retry"}, name
        assert ends[name][-1] == "sent", name
    texts = {name: " ".join(text for _, text in entries) for name, entries in timelines.items()}
    assert "451 4.3.0 Try again later" in texts["mail"]
    assert "answer 500" in texts["broken"]
    assert "not finished within" in texts["hangs"]
    assert "answer 429" in texts["busy"]
    assert "answer 410" in texts["gone"]


def test_receiver_that_sent_retry_after_is_not_tried_earlier(
    state: Engine, recipients: Recipients
) -> None:
    outages = Outages(state, ["busy"])
    outages.sensors(1)
    outages.down(1)
    notifier = delivery(state, recipients.channels())
    notifier.deliver_once(DUE)
    notifier.deliver_once(DUE + 15 * MINUTE - SECOND)
    assert len(recipients.hooks["busy"].requests) == 1
    due = next_due(state, DUE)
    assert due is not None
    assert DUE + 15 * MINUTE <= due <= DUE + 18 * MINUTE


def test_every_attempt_has_the_same_key_and_the_same_bytes(
    state: Engine, recipients: Recipients
) -> None:
    outages = Outages(state, ["mail", "broken"])
    outages.sensors(1)
    outages.down(1)
    now: int | None = DUE
    while now is not None and now < DUE + 10 * MINUTE:
        delivery(state, recipients.channels()).deliver_once(now)
        now = next_due(state, now)
    calls = recipients.hooks["broken"].requests
    assert len(calls) >= 4
    assert len({(call.headers["Idempotency-Key"], call.body) for call in calls}) == 1
    assert len(recipients.box.seen) >= 4
    assert len(set(recipients.box.seen)) == 1
