"""Every kind of channel that calls a web service, pointed at a local HTTP server."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest

from monitor.channels.interface import Channel, Message, SendFailed
from monitor.outbox.catalogue import make_channel
from monitor.state.channels import Stored
from tests.channels.messages import message_about, sensor
from tests.receiver import Receiver, receiver

ACKNOWLEDGE = "https://monitor.example.org/acknowledge/a_b-c.d"
TOKEN = "confidential_token_of_a_webhook_0123456789"
KEY = "c0nfidential0123456789abcdef0123"
NUMBER = "+358401234567"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Kind:
    """The settings of one kind of channel, and the request that it sends."""

    kind: str
    path: str
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    where: str = "endpoint"
    content_type: str = JSON

    def channel(self, base: str, allow_internal: bool = True) -> Channel:
        """A channel that calls the server at `base`."""
        settings, secrets = dict(self.settings), dict(self.secrets)
        if self.where == "workflow_url":
            secrets[self.where] = base + self.path
        else:
            settings[self.where] = base
        return make_channel(Stored("mine", self.kind, settings, secrets), allow_internal)


CHATS = [
    Kind("slack", f"/T0/B0/{TOKEN}", secrets={"webhook": f"T0/B0/{TOKEN}"}),
    Kind("discord", f"/12345678/{TOKEN}?wait=true", {"webhook_id": "12345678"}, {"token": TOKEN}),
    Kind("teams", f"/workflows/{TOKEN}?sig=x", where="workflow_url"),
    Kind(
        "telegram",
        f"/bot123456:{TOKEN}/sendMessage",
        {"chat_id": "-100200300"},
        {"bot_token": f"123456:{TOKEN}"},
    ),
    Kind("ntfy", "/", {"topic": "alerts"}, {"token": TOKEN}, "server"),
    Kind("pagerduty", "/v2/enqueue", secrets={"routing_key": KEY}),
]

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
KEY_ID = "AKIA0123456789ABCDEF"
AWS = {"region": "eu-north-1", "access_key_id": KEY_ID}
OTHERS = [
    Kind(
        "twilio",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        {"account_sid": ACCOUNT, "sender": "+15005550006", "recipient": NUMBER},
        {"auth_token": KEY},
        content_type=FORM,
    ),
    Kind("sns", "/", {**AWS, "recipient": NUMBER}, {"secret_access_key": TOKEN}, content_type=FORM),
    Kind(
        "ses",
        "/v2/email/outbound-emails",
        {
            **AWS,
            "sender": "Heartbeats <monitor@example.org>",
            "recipients": ["night@example.org", "Jo Doe <jo@example.net>"],
        },
        {"secret_access_key": TOKEN},
    ),
]

every_chat = pytest.mark.parametrize("kind", CHATS, ids=lambda kind: kind.kind)
every_kind = pytest.mark.parametrize("kind", CHATS + OTHERS, ids=lambda kind: kind.kind)


def of(name: str) -> Kind:
    """The kind with this name."""
    return next(kind for kind in CHATS + OTHERS if kind.kind == name)


@pytest.fixture
def service() -> Iterator[Receiver]:
    """A server that answers 200."""
    with receiver() as service:
        service.status = 200
        yield service


def base(service: Receiver) -> str:
    """The base URL of the server."""
    return service.url.removesuffix("/hook")


def sent(kind: Kind, service: Receiver, message: Message) -> dict[str, Any]:
    """The JSON object or form fields of the request that the service received."""
    kind.channel(base(service)).send(message)
    request = service.requests[-1]
    assert request.method == "POST"
    assert request.path == kind.path
    assert request.headers["Content-Type"] == kind.content_type
    if kind.content_type == FORM:
        return dict(parse_qsl(request.body.decode(), strict_parsing=True))
    content: dict[str, Any] = json.loads(request.body)
    return content


def down(**values: Any) -> Message:
    """A message: one sensor is down."""
    return message_about("down", sensor(1, **values), acknowledge=ACKNOWLEDGE)


def failure(kind: Kind, service: Receiver) -> SendFailed:
    """The error of a refused send."""
    with pytest.raises(SendFailed) as caught:
        kind.channel(base(service)).send(down())
    return caught.value
