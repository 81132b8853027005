"""Channels with several recipients: each recipient's messages are retried and recorded alone."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, select, update

from monitor.channels.email import Email
from monitor.model import HOUR, MINUTE
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery
from monitor.state import health
from monitor.state.database import reading, writing
from monitor.state.tables import notification
from tests.delivering import delivery
from tests.outages import INTERVAL, NOW, WAIT, Outages, rows
from tests.smtp import Mailbox

DUE = NOW + WAIT
A, B, C = "a@example.org", "b@example.org", "c@example.org"


@pytest.fixture
def outages(state: Engine) -> Outages:
    outages = Outages(state, ["email"])
    outages.sensors(1, 2)
    outages.down(1)
    return outages


def notifier(
    state: Engine, box: Mailbox, recipients: Sequence[str] = (A, B), budget: int | None = None
) -> Delivery:
    email = Email("127.0.0.1", box.port, "none", "", "", "m@example.org", recipients)
    return delivery(state, [ActiveChannel(email, budget=budget)], recipients=lambda _: ["email"])


def ledger(state: Engine) -> list[tuple[str, str | None, str]]:
    """(kind, recipient, state) of each message."""
    return [(row.kind, row.recipient, row.state) for row in rows(state)]


def refuse(box: Mailbox, address: str, reply: str) -> None:
    box.to_recipient = lambda recipient: reply if recipient == address else "250 OK"


def test_only_the_recipient_that_failed_is_tried_again_with_the_same_message(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    refuse(box, B, "451 4.7.1 Greylisted, try again later")
    assert notifier(state, box).deliver_once(DUE) == 2
    assert box.recipients == [[A]]
    assert ledger(state) == [("down", A, "sent"), ("down", B, "pending")]
    (_, waiting) = rows(state)
    refuse(box, B, "250 OK")
    assert notifier(state, box).deliver_once(DUE + MINUTE) == 1
    assert box.recipients == [[A], [B]]
    assert ledger(state) == [("down", A, "sent"), ("down", B, "sent")]
    first, second = box.messages
    assert first["Message-ID"] != second["Message-ID"] == f"<{waiting.key}@example.org>"
    assert (first["To"], second["To"]) == (A, B)


def test_permanently_refused_recipient_fails_and_only_the_other_receives_the_recovery(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    refuse(box, B, "550 no such mailbox")
    notifier(state, box).deliver_once(DUE)
    assert ledger(state) == [("down", A, "sent"), ("down", B, "failed")]
    refuse(box, B, "250 OK")
    outages.up(1, now=DUE + MINUTE)
    notifier(state, box).deliver_once(DUE + 2 * MINUTE)
    recovered = [row for row in ledger(state) if row[0] == "recovered"]
    assert recovered == [("recovered", A, "sent"), ("recovered", B, "cancelled")]
    assert outages.closed()


def test_failing_recipient_is_reported_while_the_other_receives_messages(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    refuse(box, B, "451 4.7.1 Greylisted, try again later")
    both = notifier(state, box)
    both.deliver_once(DUE)
    with reading(state) as connection:
        assert health.of_all(connection)["email"][:3] == ("email", B, DUE)
    both.deliver_once(DUE + 6 * MINUTE)
    subjects = [message["Subject"] for message in box.messages]
    assert subjects[1:] == ["The channel email keeps failing for b@example.org"]


def test_added_recipient_receives_all_open_incidents_with_the_next_message(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    notifier(state, box).deliver_once(DUE)
    outages.down(2, now=DUE + MINUTE)
    notifier(state, box, [A, B, C]).deliver_once(DUE + INTERVAL + MINUTE)
    assert sorted(box.recipients) == [[A], [A], [B], [B], [C]]
    members = dict(zip([row.recipient for row in rows(state)], outages.members(), strict=True))
    assert members == {A: {2}, B: {2}, C: {1, 2}}


def test_messages_to_a_removed_recipient_are_cancelled(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    refuse(box, B, "451 4.7.1 Greylisted, try again later")
    notifier(state, box).deliver_once(DUE)
    notifier(state, box, [A]).deliver_once(DUE + MINUTE)
    assert box.recipients == [[A]]
    assert rows(state)[1].outcome == "the recipient was removed from the channel"


def test_message_tried_by_an_earlier_version_reaches_every_recipient(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    box.to_recipient = lambda _: "451 not now"
    notifier(state, box, [A]).deliver_once(DUE)
    with writing(state) as connection:
        connection.execute(update(notification).values(recipient=None))
    box.to_recipient = lambda _: "250 OK"
    notifier(state, box).deliver_once(DUE + MINUTE)
    assert sorted(box.recipients) == [[A], [B]]
    assert outages.members() == [{1}, {1}]


def test_recovery_of_a_message_sent_by_an_earlier_version_reaches_every_recipient(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    notifier(state, box, [A]).deliver_once(DUE)
    with writing(state) as connection:
        connection.execute(update(notification).values(recipient=None))
    outages.up(1, now=DUE + MINUTE)
    notifier(state, box).deliver_once(DUE + 2 * MINUTE)
    assert sorted(box.recipients[1:]) == [[A], [B]]


def test_each_recipient_has_its_own_daily_message_limit(
    state: Engine, outages: Outages, box: Mailbox
) -> None:
    notifier(state, box, budget=1).deliver_once(DUE)
    assert sorted(box.recipients) == [[A], [B]]
    outages.down(2, now=DUE + MINUTE)
    notifier(state, box, budget=1).deliver_once(DUE + HOUR)
    assert len(box.recipients) == 2
    with reading(state) as connection:
        waiting = select(notification.c.recipient).where(notification.c.held_until.is_not(None))
        assert set(connection.scalars(waiting)) == {A, B}
