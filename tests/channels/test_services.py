"""What every kind of channel that calls a service has in common."""

import logging
from typing import Any

import pytest

from monitor.channels.interface import TRACKS_SENSORS, SendFailed
from monitor.channels.kinds import KINDS
from monitor.errors import Invalid
from monitor.outbox.catalogue import make_channel
from monitor.state.channels import Stored
from tests.channels.messages import message_about, sensor
from tests.channels.services import (
    ACCOUNT,
    AWS,
    CHATS,
    KEY,
    NUMBER,
    OTHERS,
    TOKEN,
    Kind,
    base,
    down,
    every_kind,
    failure,
    sent,
    service,
)
from tests.receiver import Receiver

__all__ = ["service"]


def test_every_kind_of_channel_is_tested() -> None:
    tested_separately = {"alertmanager", "email", "webhook", "webpush"}
    assert {kind.kind for kind in CHATS + OTHERS} == KINDS.keys() - tested_separately


def test_channel_flags_of_each_kind_are_correct() -> None:
    assert KINDS.keys() >= TRACKS_SENSORS
    assert {name for name, kind in KINDS.items() if kind.metered} == {"sns", "twilio"}


@every_kind
def test_repeated_message_is_byte_identical(kind: Kind, service: Receiver) -> None:
    for _ in range(2):
        sent(kind, service, down())
    first, second = service.requests
    assert first.body == second.body


@every_kind
@pytest.mark.parametrize("word", ["down", "recovered", "reminder", "flapping"])
def test_each_kind_of_message_is_accepted(kind: Kind, word: str, service: Receiver) -> None:
    assert sent(kind, service, message_about(word, sensor(1), sensor(2)))


@every_kind
@pytest.mark.parametrize("status", [400, 404, 410])
def test_permanent_refusal_is_permanent(kind: Kind, status: int, service: Receiver) -> None:
    service.status = status
    assert failure(kind, service).permanent


@every_kind
@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_temporary_failure_is_retried(kind: Kind, status: int, service: Receiver) -> None:
    service.status = status
    assert not failure(kind, service).permanent


@every_kind
def test_retry_after_is_honoured(kind: Kind, service: Receiver) -> None:
    service.status, service.headers = 429, {"Retry-After": "1.5"}
    assert failure(kind, service).retry_after == 1_500


@every_kind
@pytest.mark.parametrize("body", [b"\xff\xfe", b"[]", b'{"code": "x"}', b"<html>", b"null"])
def test_unexpected_answer_is_a_failure(kind: Kind, body: bytes, service: Receiver) -> None:
    service.status, service.body = 400, body
    assert failure(kind, service).detail.startswith("answer 400")


@every_kind
def test_redirects_are_not_followed(kind: Kind, service: Receiver) -> None:
    service.status, service.headers = 307, {"Location": service.url}
    assert "redirects" in failure(kind, service).detail
    assert len(service.requests) == 1


@every_kind
def test_errors_and_logs_contain_no_secret(
    kind: Kind, service: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    # A service may echo its input.
    service.body = f'{{"description": "no", "error": "{TOKEN}", "message": "{KEY}"}}'.encode()
    for status in (302, 400, 401, 403, 429, 500):
        service.status = status
        shown.append(repr(failure(kind, service)) + failure(kind, service).detail)
    channel = kind.channel("http://127.0.0.1:9")
    with pytest.raises(SendFailed) as caught:
        channel.send(down())
    shown.append(caught.value.detail)
    for secret in (TOKEN, KEY):
        assert secret not in " ".join(shown)
        assert secret not in caplog.text
        assert secret not in repr(channel)


@every_kind
def test_internal_addresses_are_refused_unless_allowed(kind: Kind, service: Receiver) -> None:
    # The server would answer; a Teams workflow URL must be https.
    where = "https://127.0.0.1:9" if kind.kind == "teams" else base(service)
    with pytest.raises(SendFailed, match="internal"):
        kind.channel(where, allow_internal=False).send(down())
    assert service.requests == []


SMS = {"account_sid": ACCOUNT, "sender": "Heartbeats", "recipient": NUMBER}
SNS = {**AWS, "recipient": NUMBER}
SES = {**AWS, "sender": "a@b.c", "recipients": ["d@e.f"]}


@pytest.mark.parametrize(
    ("kind", "settings", "secrets", "field"),
    [
        ("slack", {}, {"webhook": "https://evil.example.org/x"}, "webhook"),
        ("slack", {"endpoint": "ftp://x"}, {"webhook": "T/B/x"}, "endpoint"),
        ("discord", {"webhook_id": "abc"}, {"token": TOKEN}, "webhook_id"),
        ("discord", {"webhook_id": "123456"}, {"token": "a/b"}, "token"),
        ("teams", {}, {"workflow_url": "http://example.org/x"}, "workflow_url"),
        ("telegram", {"chat_id": "me"}, {"bot_token": f"123456:{TOKEN}"}, "chat_id"),
        ("telegram", {"chat_id": "1"}, {"bot_token": "x/../y"}, "bot_token"),
        ("ntfy", {"topic": "a/b"}, {}, "topic"),
        ("ntfy", {"topic": "a", "username": "u"}, {}, "username"),
        ("pagerduty", {}, {"routing_key": "short"}, "routing_key"),
        ("twilio", {**SMS, "account_sid": "AC/../x"}, {"auth_token": KEY}, "account_sid"),
        ("twilio", {**SMS, "sender": "A name that is long"}, {"auth_token": KEY}, "sender"),
        ("twilio", {**SMS, "recipient": "0401234567"}, {"auth_token": KEY}, "recipient"),
        ("twilio", SMS, {"auth_token": "a:b"}, "auth_token"),
        ("sns", {**AWS, "recipient": "911"}, {"secret_access_key": TOKEN}, "recipient"),
        ("sns", {**SNS, "region": "evil.example.org/"}, {"secret_access_key": TOKEN}, "region"),
        ("sns", {**SNS, "access_key_id": "x\r\ny"}, {"secret_access_key": TOKEN}, "access_key_id"),
        ("sns", {**SNS, "sender_id": "a b"}, {"secret_access_key": TOKEN}, "sender_id"),
        ("sns", SNS, {"secret_access_key": "sh\nort"}, "secret_access_key"),
        ("ses", {**SES, "recipients": []}, {"secret_access_key": TOKEN}, "recipient"),
        ("ses", {**SES, "recipients": ["x@y.z"] * 51}, {"secret_access_key": TOKEN}, "recipients"),
        ("ses", {**SES, "sender": "nobody"}, {"secret_access_key": TOKEN}, "address"),
    ],
)
def test_invalid_setting_is_named_and_its_value_is_not_shown(
    kind: str, settings: dict[str, Any], secrets: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        make_channel(Stored("mine", kind, settings, secrets), allow_internal=False)
    assert field in f"{caught.value.field} {caught.value}"
    for secret in secrets.values():
        assert secret not in str(caught.value)
