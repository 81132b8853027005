"""What each chat, push and pager service receives, and in which format."""

import html
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.channels.slack import _escaped, _section
from monitor.outbox.catalogue import make_channel
from monitor.state.channels import Stored
from tests.channels.messages import message_about, sensor
from tests.channels.services import (
    ACKNOWLEDGE,
    KEY,
    TOKEN,
    Kind,
    base,
    down,
    every_chat,
    failure,
    of,
    sent,
    service,
)
from tests.receiver import Receiver, Request

__all__ = ["service"]

WILD = "*bold* _x_ <@here> <script> [a](b) & `c` @everyone"


@every_chat
def test_down_message_has_evidence_and_links(kind: Kind, service: Receiver) -> None:
    text = json.dumps(sent(kind, service, down()), ensure_ascii=False)
    assert "Sensor 1" in text
    assert "silent since" in text
    assert "10 min" in text
    assert ACKNOWLEDGE in text
    assert "https://monitor.example.org/sensors/00:00:00:00:00:01" in text


@every_chat
def test_long_message_stays_within_the_limits_of_the_service(kind: Kind, service: Receiver) -> None:
    wide = [sensor(number, name="ä" * 300, site=f"Site {number}") for number in range(40)]
    content = sent(kind, service, message_about("down", *wide, acknowledge=ACKNOWLEDGE))
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
            assert len(service.requests[-1].body) <= 8_192
        case "pagerduty":
            assert len(content["payload"]["summary"]) <= 1_024
            assert len(service.requests[-1].body) < 512_000


# --- Per service -------------------------------------------------------------------------------


def test_slack_escapes_names_and_mentions(service: Receiver) -> None:
    content = sent(of("slack"), service, down(name=WILD))
    text = content["blocks"][0]["text"]["text"]
    assert "&lt;@here&gt;" in text
    assert "<@here>" not in text
    assert content["unfurl_links"] is False
    assert all(block["text"]["verbatim"] for block in content["blocks"])
    assert f"<{ACKNOWLEDGE}|" in content["blocks"][-1]["text"]["text"]


def test_slack_error_code_is_in_the_failure(service: Receiver) -> None:
    service.status, service.body = 404, b"no_service"
    assert failure(of("slack"), service).detail == "answer 404: no_service"


def test_slack_accepts_a_full_webhook_url(service: Receiver) -> None:
    whole = f"{base(service)}/T0/B0/{TOKEN}"
    stored = Stored("mine", "slack", {"endpoint": base(service)}, {"webhook": whole})
    make_channel(stored, allow_internal=True).send(down())
    assert service.requests[0].path == f"/T0/B0/{TOKEN}"


def test_discord_escapes_names_and_disables_mentions(service: Receiver) -> None:
    content = sent(of("discord"), service, down(name=WILD))
    assert content["allowed_mentions"] == {"parse": []}
    description = content["embeds"][0]["description"]
    assert "\\*bold\\*" in description
    assert f"]({ACKNOWLEDGE})" in description


def test_telegram_message_is_plain_text_and_retry_after_is_honoured(service: Receiver) -> None:
    content = sent(of("telegram"), service, down(name=WILD))
    assert "parse_mode" not in content
    assert content["chat_id"] == "-100200300"
    assert content["link_preview_options"] == {"is_disabled": True}
    service.status = 429
    service.body = b'{"ok":false,"description":"Too Many Requests","parameters":{"retry_after":7}}'
    refused = failure(of("telegram"), service)
    assert (refused.retry_after, refused.detail) == (7_000, "answer 429: Too Many Requests")


def test_telegram_group_that_became_a_supergroup_is_followed(
    service: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    service.status, service.body = (
        400,
        json.dumps(
            {
                "ok": False,
                "description": "Bad Request: group chat was upgraded to a supergroup chat",
                "parameters": {"migrate_to_chat_id": -1001234567890},
            }
        ).encode(),
    )

    def moved(request: Request) -> None:
        if json.loads(request.body)["chat_id"] == "-1001234567890":
            service.status, service.body = 200, b"{}"

    service.before_answer = moved
    of("telegram").channel(base(service)).send(down())
    assert len(service.requests) == 2
    assert "set chat_id to -1001234567890" in caplog.text


def test_ntfy_priority_follows_severity_and_click_opens_the_sensor(service: Receiver) -> None:
    urgent = sent(of("ntfy"), service, down())
    assert (urgent["topic"], urgent["priority"]) == ("alerts", 5)
    assert urgent["click"].endswith("/sensors/00:00:00:00:00:01")
    assert service.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert sent(of("ntfy"), service, down(labels={"severity": "warning"}))["priority"] == 4
    assert sent(of("ntfy"), service, message_about("recovered", sensor(1)))["priority"] == 3


def test_pagerduty_uses_one_dedup_key_and_resolves_it_when_none_is_down(service: Receiver) -> None:
    opened = sent(of("pagerduty"), service, down())
    assert (opened["event_action"], opened["dedup_key"]) == ("trigger", "thread-1")
    assert opened["payload"]["severity"] == "critical"
    partly = message_about("recovered", sensor(1))
    assert sent(of("pagerduty"), service, partly)["event_action"] == "trigger"
    whole = partly._replace(data={**partly.data, "silent": 0})
    resolved = sent(of("pagerduty"), service, whole)
    assert resolved == {
        "routing_key": KEY,
        "event_action": "resolve",
        "dedup_key": "thread-1",
    }
    flapping = sent(of("pagerduty"), service, message_about("flapping", sensor(1)))
    assert flapping["dedup_key"] == "thread-1-flapping"


def test_teams_card_shows_names_as_plain_text(service: Receiver) -> None:
    content = sent(of("teams"), service, down(name=WILD))
    (attachment,) = content["attachments"]
    card = attachment["content"]
    assert card["type"] == "AdaptiveCard"
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert any(WILD in block["inlines"][0]["text"] for block in card["body"])
    assert [action["url"] for action in card["actions"]][-1] == ACKNOWLEDGE


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("a&<>*;…\U0001f534"), max_size=2_000))
def test_slack_text_is_unchanged_or_truncated(text: str) -> None:
    shown = _section(_escaped(text))["text"]["text"]
    assert len(shown) <= 3_000
    assert "<" not in shown
    plain = html.unescape(shown)
    assert plain == text or text.startswith(plain.removesuffix("…"))
