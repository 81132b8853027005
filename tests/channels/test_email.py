"""The email channel against a real SMTP server."""

import logging
import socket
import ssl
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.channels.email import Email
from monitor.channels.interface import Message, SendFailed
from tests.certificates import server_context
from tests.smtp import Mailbox, mailbox

TIME = 1_795_395_720_000  # 2026-11-23T01:02:00Z
MESSAGE = Message(
    key="0123456789abcdef",
    kind="down",
    time=TIME,
    subject="12 of 230 sensors at Site Ä silent since 14:03 UTC",
    text="12 of 230 sensors at Site Ä silent since 14:03 UTC.\n\n- Boiler room: …\n",
    data={"key": "0123456789abcdef"},
)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


def email(box: Mailbox, **changes: Any) -> Email:
    options: dict[str, Any] = {
        "server": "127.0.0.1",
        "port": box.port,
        "security": "none",
        "username": "",
        "password": "",
        "sender": "Heartbeat Monitor <monitor@example.org>",
        "recipients": ["night@example.org", "Jo Doe <jo@example.net>"],
    }
    return Email(**(options | changes))


def failure(channel: Email, message: Message = MESSAGE) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        channel.send(message)
    return caught.value


def test_message_is_delivered_to_all_recipients(box: Mailbox) -> None:
    email(box).send(MESSAGE)
    (got,) = box.messages
    assert got["Subject"] == MESSAGE.subject
    assert got["From"] == "Heartbeat Monitor <monitor@example.org>"
    assert got["To"] == "night@example.org, Jo Doe <jo@example.net>"
    assert got["Message-ID"] == "<0123456789abcdef@example.org>"
    assert parsedate_to_datetime(got["Date"]).timestamp() * 1000 == TIME
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content() == MESSAGE.text
    assert box.recipients == [["night@example.org", "jo@example.net"]]


def test_repeated_message_is_byte_identical(box: Mailbox) -> None:
    email(box).send(MESSAGE)
    email(box).send(MESSAGE)
    first, second = box.accepted
    assert first == second


def test_messages_of_one_thread_have_the_same_references(box: Mailbox) -> None:
    email(box).send(MESSAGE._replace(key="1", thread="failing:night shift:17"))
    email(box).send(MESSAGE._replace(key="2", thread="failing:night shift:17"))
    first, second = box.messages
    assert first["Message-ID"] != second["Message-ID"]
    assert first["References"] == second["References"] == "<failing_night_shift_17@example.org>"


def test_internal_server_is_refused_unless_allowed(box: Mailbox) -> None:
    refused = failure(email(box, allow_internal=False))
    assert "internal" in refused.detail
    assert not refused.permanent
    assert box.seen == []


@pytest.mark.parametrize("reply", ["451 try later", "421 shutting down", "452 disk full"])
def test_temporary_rejection_of_content_is_retried(box: Mailbox, reply: str) -> None:
    box.to_content = lambda: reply
    refused = failure(email(box))
    assert not refused.permanent
    assert reply in refused.detail


@pytest.mark.parametrize("reply", ["550 rejected", "554 spam"])
def test_permanent_rejection_of_content_is_permanent(box: Mailbox, reply: str) -> None:
    box.to_content = lambda: reply
    refused = failure(email(box))
    assert refused.permanent
    assert reply in refused.detail


def test_permanent_rejection_of_all_recipients_is_permanent(box: Mailbox) -> None:
    box.to_recipient = lambda _: "550 no such user"
    refused = failure(email(box))
    assert refused.permanent
    assert "550 no such user" in refused.detail


def test_temporary_rejection_of_one_recipient_is_retried(box: Mailbox) -> None:
    box.to_recipient = lambda who: "450 greylisted" if "night" in who else "550 no such user"
    assert not failure(email(box)).permanent


def test_rejected_recipient_is_named_in_the_failure(box: Mailbox) -> None:
    box.to_recipient = lambda who: "250 OK" if "night" in who else "550 no such user"
    refused = failure(email(box))
    assert box.recipients == [["night@example.org"]]
    assert refused.permanent
    assert "550 no such user" in refused.detail
    assert "night" not in refused.detail


def test_message_for_one_recipient_is_sent_only_to_them(box: Mailbox) -> None:
    channel = email(box)
    channel.send(MESSAGE._replace(recipient=channel.recipients[1]))
    assert box.recipients == [[channel.recipients[1]]]
    assert box.messages[0]["To"] == "Jo Doe <jo@example.net>"


def test_unreachable_server_is_retried(box: Mailbox) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = failure(email(box, port=closed.getsockname()[1]))
    assert not refused.permanent
    assert refused.detail == "no connection: Connection refused"


def test_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.channels.email.TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refused = failure(email(Mailbox(port=silent.getsockname()[1])))
    assert not refused.permanent


@pytest.mark.parametrize(
    "evil",
    [
        "Site\r\nBcc: thief@example.com",
        "Site\nBcc: thief@example.com",
        "Site\r\n\r\nbody of my own",
        "Site\u2028Bcc: thief@example.com",
        "Site\x0b\x0c\x1cBcc: thief@example.com",
    ],
)
def test_line_breaks_in_a_name_add_no_headers_or_recipients(box: Mailbox, evil: str) -> None:
    email(box).send(MESSAGE._replace(subject=evil, text=evil))
    (got,) = box.messages
    assert got["Bcc"] is None
    assert set(got.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    assert box.recipients == [["night@example.org", "jo@example.net"]]


def test_line_with_a_single_dot_does_not_end_the_message(box: Mailbox) -> None:
    email(box).send(MESSAGE._replace(text="before\n.\nafter\n"))
    assert box.messages[0].get_content() == "before\n.\nafter\n"


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b.c, d@e.f", "a@b.c\r\nBcc: d@e.f", "<>", "@example.org"]
)
def test_invalid_address_is_refused_at_construction(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|line|carriage"):
        email(Mailbox(), sender=address)
    with pytest.raises(ValueError, match=r"address|line|carriage"):
        email(Mailbox(), recipients=[address])


def test_empty_recipient_list_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="recipient"):
        email(Mailbox(), recipients=[])


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    return server_context(certificate)


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
def test_logs_in_over_starttls(tls: ssl.SSLContext) -> None:
    with mailbox(starttls=tls, password="hunter2") as box:
        email(box, security="starttls", username="us", password="hunter2").send(MESSAGE)
        assert len(box.accepted) == 1
        assert box.logins == [("us", "hunter2")]


@pytest.mark.usefixtures("trusted")
def test_sends_over_implicit_tls(tls: ssl.SSLContext) -> None:
    with mailbox(tls=tls) as box:
        email(box, security="tls").send(MESSAGE)
        assert len(box.accepted) == 1


@pytest.mark.usefixtures("trusted")
def test_wrong_password_is_retried_and_not_shown(
    tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="monitor")
    with mailbox(starttls=tls, password="hunter2") as box:
        refused = failure(email(box, security="starttls", username="us", password="hunter3"))
    assert not refused.permanent
    assert "535" in refused.detail
    assert "hunter3" not in refused.detail + repr(refused) + caplog.text


def test_untrusted_certificate_is_refused(tls: ssl.SSLContext) -> None:
    with mailbox(starttls=tls) as box:
        refused = failure(email(box, security="starttls"))
        assert "not trusted" in refused.detail
        assert not refused.permanent
        assert box.seen == []


def test_server_without_starttls_receives_neither_password_nor_message(box: Mailbox) -> None:
    refused = failure(email(box, security="starttls", username="us", password="hunter2"))
    assert "STARTTLS" in refused.detail
    assert box.seen == []
    assert box.logins == []


def test_disconnect_after_acceptance_counts_as_sent(box: Mailbox) -> None:
    box.hangs_up_on_quit = True
    email(box).send(MESSAGE)
    assert len(box.accepted) == 1
