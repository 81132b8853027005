"""SMS: length limits, and the requests to Twilio and Amazon SNS."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.channels import sms
from monitor.channels.interface import Action, Message
from tests.channels.messages import message_about, sensor
from tests.channels.services import (
    ACCOUNT,
    ACKNOWLEDGE,
    NUMBER,
    Kind,
    down,
    failure,
    of,
    sent,
    service,
)
from tests.receiver import Receiver

__all__ = ["service"]

LINK = "https://monitor.example.org/sensors/02:00:00:00:00:0a"


def about(subject: str, link: str = LINK, acknowledge: str = "") -> Message:
    actions = (Action("Acknowledge", acknowledge),) if acknowledge else ()
    return Message("key", "down", 0, subject, "…", {}, link=link, actions=actions)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the € is not split: it moves to the second segment
        ("ä" * 160, 1),
        ("ł" * 70, 1),
        ("ł" * 71, 2),
        ("ł" * 134, 2),
        ("ł" * 135, 3),
        ("a" * 69 + "ł", 1),
        ("a" * 70 + "ł", 2),
        ("🔴" * 35, 1),
        ("🔴" * 36, 2),
        ("🔴" * 66, 2),
        ("🔴" * 67, 3),  # 33 per segment: none is split
        ("", 1),
    ],
)
def test_segment_count_follows_gsm_rules(content: str, expected: int) -> None:
    assert sms.segments(content) == expected


def test_text_has_subject_and_acknowledge_link() -> None:
    assert sms.text(about("Boiler silent since 14:03 UTC", acknowledge=ACKNOWLEDGE)) == (
        f"Boiler silent since 14:03 UTC\n{ACKNOWLEDGE}"
    )
    assert sms.text(about("Boiler is back")) == f"Boiler is back\n{LINK}"
    assert sms.text(about("Boiler is back", link="")) == "Boiler is back"


def test_typographic_characters_do_not_add_segments() -> None:
    text = sms.text(about("“Boiler” – it’s silent…"))
    assert text.startswith('"Boiler" - it\'s silent...')
    assert sms.segments(text) == 1


def test_long_subject_is_truncated_and_the_link_kept() -> None:
    text = sms.text(about("Boiler " * 200, acknowledge=ACKNOWLEDGE))
    assert text.startswith("Boiler Boiler ")
    assert text.endswith(f"...\n{ACKNOWLEDGE}")
    assert sms.segments(text) == sms.MOST


def test_link_that_does_not_fit_is_left_out() -> None:
    endless = "https://monitor.example.org/" + "a" * 700
    assert sms.text(about("Boiler silent", acknowledge=endless)) == "Boiler silent"


@settings(deadline=None)
@given(
    st.text(st.one_of(st.characters(), st.sampled_from("aä€[…ł🔴")), max_size=400),
    st.integers(0, 700),
)
def test_message_never_exceeds_the_segment_limit(subject: str, length: int) -> None:
    text = sms.text(about(subject, acknowledge="https://m.example.org/" + "a" * length))
    assert 1 <= sms.segments(text) <= sms.MOST
    assert len(text) <= 1_600


@pytest.mark.parametrize(
    ("number", "plain"),
    [("+358 40 123 4567", NUMBER), ("+1 (500) 555-0006", "+15005550006"), (NUMBER, NUMBER)],
)
def test_phone_numbers_are_normalised(number: str, plain: str) -> None:
    assert sms.checked_number("recipient", number) == plain


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("+1 500 555 0006", ("From", "+15005550006")),
        ("12345", ("From", "12345")),
        ("Heartbeats", ("From", "Heartbeats")),
        ("MG" + "0" * 32, ("MessagingServiceSid", "MG" + "0" * 32)),
    ],
)
def test_twilio_request_has_sender_recipient_and_text(
    service: Receiver, sender: str, expected: tuple[str, str]
) -> None:
    kind = of("twilio")
    fields = sent(
        Kind(
            kind.kind,
            kind.path,
            {**kind.settings, "sender": sender},
            kind.secrets,
            content_type=kind.content_type,
        ),
        service,
        down(),
    )
    subject = message_about("down", sensor(1)).subject
    assert fields == {
        expected[0]: expected[1],
        "To": NUMBER,
        "Body": f"{subject}\n{ACKNOWLEDGE}",
    }
    login = service.requests[0].headers["Authorization"]
    assert login.startswith("Basic QUMwMTIz")
    assert ACCOUNT in service.requests[0].path


@pytest.mark.parametrize(("code", "permanent"), [(21610, True), (21211, True), (21611, False)])
def test_twilio_failure_has_the_error_code_and_no_phone_number(
    service: Receiver, code: int, permanent: bool
) -> None:
    service.status = 400
    service.body = f'{{"code": {code}, "message": "To {NUMBER}", "status": 400}}'.encode()
    refused = failure(of("twilio"), service)
    assert (refused.detail, refused.permanent) == (
        f"answer 400: Twilio's error {code}",
        permanent,
    )


def test_sns_message_is_transactional(service: Receiver) -> None:
    assert sent(of("sns"), service, down()) == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": NUMBER,
        "Message": f"{message_about('down', sensor(1)).subject}\n{ACKNOWLEDGE}",
        "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "Transactional",
    }


def test_sns_request_has_the_sender_id(service: Receiver) -> None:
    kind = of("sns")
    settings = {**kind.settings, "sender_id": "Heartbeats"}
    named = Kind(kind.kind, kind.path, settings, kind.secrets, content_type=kind.content_type)
    fields = sent(named, service, down())
    assert fields["MessageAttributes.entry.2.Name"] == "AWS.SNS.SMS.SenderID"
    assert fields["MessageAttributes.entry.2.Value.StringValue"] == "Heartbeats"
