"""Chats, pushes and pagers, each against a real HTTP server in the place of the service."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from monitor.channels.catalogue import Misfit, made
from monitor.channels.interface import Channel, Message, SendFailed
from monitor.state.channels import Stored
from tests.channels.messages import sensor, told
from tests.receiver import Receiver, receiver

ACKNOWLEDGE = "https://monitor.example.org/acknowledge/a_b-c.d"
WILD = "*bold* _x_ <@here> <script> [a](b) & `c` @everyone"
TOKEN = "confidential_token_of_a_webhook_0123456789"
KEY = "c0nfidential0123456789abcdef0123"


@dataclass
class Kind:
    """A channel of one kind that leads to the receiver."""

    kind: str
    path: str
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    where: str = "endpoint"

    def channel(self, base: str) -> Channel:
        settings, secrets = dict(self.settings), dict(self.secrets)
        if self.where == "workflow_url":
            secrets[self.where] = base + self.path
        else:
            settings[self.where] = base
        return made(Stored("mine", self.kind, settings, secrets), allow_internal=True)


KINDS = [
    Kind("slack", f"/T0/B0/{TOKEN}", secrets={"webhook": f"T0/B0/{TOKEN}"}),
    Kind("discord", f"/12345678/{TOKEN}", {"webhook_id": "12345678"}, {"token": TOKEN}),
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


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as service:
        service.status = 200
        yield service


def base(service: Receiver) -> str:
    return service.url.removesuffix("/hook")


def sent(kind: Kind, service: Receiver, message: Message) -> dict[str, Any]:
    """The JSON that the service got."""
    kind.channel(base(service)).send(message)
    request = service.requests[-1]
    assert request.method == "POST"
    assert request.path == kind.path
    assert request.headers["Content-Type"] == "application/json"
    content: dict[str, Any] = json.loads(request.body)
    return content


def down(**values: Any) -> Message:
    return told("down", sensor(1, **values), acknowledge=ACKNOWLEDGE)


def of(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.kind == name)


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@every_kind
def test_an_alarm_arrives_with_its_evidence_and_its_links(kind: Kind, service: Receiver) -> None:
    text = json.dumps(sent(kind, service, down()), ensure_ascii=False)
    assert "Sensor 1" in text
    assert "silent since" in text
    assert "10 min" in text
    assert ACKNOWLEDGE in text
    assert "https://monitor.example.org/sensors/00:00:00:00:00:01" in text


@every_kind
def test_a_repetition_is_the_same_to_the_byte(kind: Kind, service: Receiver) -> None:
    for _ in range(2):
        sent(kind, service, down())
    first, second = service.requests
    assert first.body == second.body


@every_kind
@pytest.mark.parametrize("word", ["down", "recovered", "reminder", "flapping"])
def test_each_kind_of_message_is_taken(kind: Kind, word: str, service: Receiver) -> None:
    assert sent(kind, service, told(word, sensor(1), sensor(2)))


@every_kind
def test_long_messages_keep_within_the_limits_of_the_service(kind: Kind, service: Receiver) -> None:
    wide = [sensor(number, name="ä" * 300, site=f"Site {number}") for number in range(40)]
    content = sent(kind, service, told("down", *wide, acknowledge=ACKNOWLEDGE))
    assert ACKNOWLEDGE in json.dumps(content, ensure_ascii=False)
    match kind.kind:
        case "slack":
            assert all(len(block["text"]["text"]) <= 3_000 for block in content["blocks"])
        case "discord":
            (embed,) = content["embeds"]
            assert len(embed["title"]) <= 256
            assert len(embed["description"]) <= 4_096
        case "teams":
            assert len(service.requests[-1].body) < 28_000
        case "telegram":
            assert len(content["text"]) <= 4_096
        case "ntfy":
            assert len(content["message"].encode()) <= 4_096
        case "pagerduty":
            assert len(content["payload"]["summary"]) <= 1_024
            assert len(service.requests[-1].body) < 512_000


@every_kind
@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_lasting_refusal_is_permanent(kind: Kind, status: int, service: Receiver) -> None:
    service.status = status
    assert failure(kind, service).permanent


@every_kind
@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_what_may_pass_is_tried_again(kind: Kind, status: int, service: Receiver) -> None:
    service.status = status
    assert not failure(kind, service).permanent


@every_kind
def test_a_wish_for_a_pause_is_kept(kind: Kind, service: Receiver) -> None:
    service.status, service.headers = 429, {"Retry-After": "1.5"}
    assert failure(kind, service).retry_after == 1_500


@every_kind
def test_no_secret_gets_into_errors_or_logs(
    kind: Kind, service: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for status in (302, 400, 401, 429, 500):
        service.status = status
        told.append(str(failure(kind, service)) + failure(kind, service).detail)
    channel = kind.channel("http://127.0.0.1:9")
    with pytest.raises(SendFailed) as caught:
        channel.send(down())
    told.append(caught.value.detail)
    for secret in (TOKEN, KEY):
        assert secret not in " ".join(told)
        assert secret not in caplog.text
        assert secret not in repr(channel)


@every_kind
def test_internal_addresses_are_refused_unless_allowed(kind: Kind, service: Receiver) -> None:
    settings = {**kind.settings, kind.where: base(service)}
    secrets = dict(kind.secrets)
    if kind.where == "workflow_url":
        settings, secrets = {}, {"workflow_url": "https://127.0.0.1:9/x"}
    channel = made(Stored("mine", kind.kind, settings, secrets), allow_internal=False)
    with pytest.raises(SendFailed, match="internal"):
        channel.send(down())
    assert service.requests == []


def failure(kind: Kind, service: Receiver) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        kind.channel(base(service)).send(down())
    return caught.value


# --- Each in its own way -----------------------------------------------------------------------


def test_in_slack_names_are_text_and_nobody_is_called(service: Receiver) -> None:
    content = sent(of("slack"), service, down(name=WILD))
    text = content["blocks"][0]["text"]["text"]
    assert "&lt;@here&gt;" in text
    assert "<@here>" not in text
    assert content["unfurl_links"] is False
    assert f"<{ACKNOWLEDGE}|" in content["blocks"][-1]["text"]["text"]


def test_slack_says_why_in_its_own_word(service: Receiver) -> None:
    service.status, service.body = 404, b"no_service"
    assert failure(of("slack"), service).detail == "answer 404: no_service"


def test_slack_takes_the_whole_url_of_the_webhook_too(service: Receiver) -> None:
    whole = f"{base(service)}/T0/B0/{TOKEN}"
    stored = Stored("mine", "slack", {"endpoint": base(service)}, {"webhook": whole})
    made(stored, allow_internal=True).send(down())
    assert service.requests[0].path == f"/T0/B0/{TOKEN}"


def test_in_discord_names_are_text_and_nobody_is_called(service: Receiver) -> None:
    content = sent(of("discord"), service, down(name=WILD))
    assert content["allowed_mentions"] == {"parse": []}
    description = content["embeds"][0]["description"]
    assert "\\*bold\\*" in description
    assert f"]({ACKNOWLEDGE})" in description


def test_telegram_is_told_no_parse_mode_and_its_pause_is_kept(service: Receiver) -> None:
    content = sent(of("telegram"), service, down(name=WILD))
    assert "parse_mode" not in content
    assert content["chat_id"] == "-100200300"
    assert content["link_preview_options"] == {"is_disabled": True}
    service.status = 429
    service.body = b'{"ok":false,"description":"Too Many Requests","parameters":{"retry_after":7}}'
    refused = failure(of("telegram"), service)
    assert (refused.retry_after, refused.detail) == (7_000, "answer 429: Too Many Requests")


def test_ntfy_rings_by_severity_and_opens_the_sensor(service: Receiver) -> None:
    urgent = sent(of("ntfy"), service, down())
    assert (urgent["topic"], urgent["priority"]) == ("alerts", 5)
    assert urgent["click"].endswith("/sensors/00:00:00:00:00:01")
    assert service.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert sent(of("ntfy"), service, down(labels={"severity": "warning"}))["priority"] == 4
    assert sent(of("ntfy"), service, told("recovered", sensor(1)))["priority"] == 3


def test_pagerduty_has_one_matter_and_resolves_it_at_the_end(service: Receiver) -> None:
    opened = sent(of("pagerduty"), service, down())
    assert (opened["event_action"], opened["dedup_key"]) == ("trigger", "thread-1")
    assert opened["payload"]["severity"] == "critical"
    partly = told("recovered", sensor(1))
    assert sent(of("pagerduty"), service, partly)["event_action"] == "trigger"
    whole = partly._replace(data={**partly.data, "silent": 0})
    resolved = sent(of("pagerduty"), service, whole)
    assert resolved == {
        "routing_key": KEY,
        "event_action": "resolve",
        "dedup_key": "thread-1",
    }
    flapping = sent(of("pagerduty"), service, told("flapping", sensor(1)))
    assert flapping["dedup_key"] == "thread-1-flapping"


def test_teams_gets_a_card_whose_text_is_only_text(service: Receiver) -> None:
    content = sent(of("teams"), service, down(name=WILD))
    (attachment,) = content["attachments"]
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    assert any("\\*bold\\*" in block["text"] for block in card["body"])
    assert [action["url"] for action in card["actions"]][-1] == ACKNOWLEDGE


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
    ],
)
def test_what_can_not_be_right_is_refused_by_name_and_never_repeated(
    kind: str, settings: dict[str, Any], secrets: dict[str, Any], field: str
) -> None:
    with pytest.raises(Misfit) as caught:
        made(Stored("mine", kind, settings, secrets), allow_internal=False)
    assert field in f"{caught.value.field} {caught.value}"
    for secret in secrets.values():
        assert secret not in str(caught.value)
