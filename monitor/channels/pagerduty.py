"""PagerDuty: Events API v2 (developer.pagerduty.com/docs/events-api-v2).

One group is one PagerDuty alert. It is resolved once none of the group's sensors is silent.
"""

import re
from typing import Any

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message, SendFailed
from monitor.channels.text import shortened
from monitor.model import format_time

_LONGEST = 1_024
_DETAILED = 50


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """https://events.eu.pagerduty.com for accounts in Europe."""

    endpoint: str = "https://events.pagerduty.com"


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The integration key of a service."""

    routing_key: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "PagerDuty":
    """The channel. Raises ValueError."""
    endpoint = http.checked_url("endpoint", settings.endpoint)
    if not re.fullmatch(r"[A-Za-z0-9]{32}", secrets.routing_key):
        raise ValueError("routing_key: must be the 32 characters of the integration key")
    return PagerDuty(name, f"{endpoint}/v2/enqueue", secrets.routing_key, allow_internal)


class PagerDuty:
    """One service."""

    def __init__(self, name: str, url: str, routing_key: str, allow_internal: bool) -> None:
        self.name, self._url, self._routing_key = name, url, routing_key
        self._allow_internal = allow_internal

    def send(self, message: Message) -> None:
        """Returns once PagerDuty accepted the message. Raises SendFailed."""
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": "trigger",
            "dedup_key": _dedup_key(message),
        }
        if message.kind == "recovered" and not message.data["silent"]:
            event["event_action"] = "resolve"
        else:
            event |= self._trigger(message)
        try:
            http.post_json(self._url, event, {}, self._allow_internal)
        except http.Refused as refused:
            # The response's text is left out: it repeats the request, including the key.
            raise SendFailed(
                refused.detail, permanent=refused.permanent, retry_after=refused.retry_after
            ) from None

    @staticmethod
    def _trigger(message: Message) -> dict[str, Any]:
        links = [{"href": action.url, "text": action.label} for action in message.actions]
        return {
            "client": "heartbeat-monitor",
            "client_url": message.link,
            "links": [{"href": message.link, "text": "Open"}, *links] if message.link else links,
            "payload": {
                "summary": shortened(message.subject, _LONGEST),
                "source": message.data["site"] or "heartbeat-monitor",
                "severity": message.severity,
                "timestamp": format_time(message.time),
                "class": message.kind,
                "custom_details": {
                    "text": message.text,
                    "silent": message.data["silent"],
                    "members": message.data["members"][:_DETAILED],
                },
            },
        }


def _dedup_key(message: Message) -> str:
    """Flapping is a separate alert, which has to be resolved manually."""
    return f"{message.thread}-flapping" if message.kind == "flapping" else message.thread
