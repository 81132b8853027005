"""Microsoft Teams: a workflow that posts what a webhook receives ("When a Teams webhook request is
received"), as an Adaptive Card."""

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message
from monitor.channels.text import evidence, shortened, title

_LONGEST_LINE = 600
_MOST_LINES = 30  # a message may have 28 KB
_MARKS = re.compile(r"([\\`*_\[\]<>#~|])")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Nothing of it may be shown."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The workflow's URL, as Teams gives it: whoever has it can post."""

    workflow_url: str


def make(name: str, _settings: Settings, secrets: Secrets, allow_internal: bool) -> "Teams":
    """The channel. Raises ValueError."""
    parts = urlsplit(secrets.workflow_url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("workflow_url: must be the https address that the workflow shows")
    if parts.scheme == "http" and not allow_internal:
        raise ValueError("workflow_url: must begin with https://")
    return Teams(name, parts.geturl(), allow_internal)


class Teams:
    """One chat or channel."""

    def __init__(self, name: str, url: str, allow_internal: bool) -> None:
        self.name, self._url, self._allow_internal = name, url, allow_internal

    def send(self, message: Message) -> None:
        """Accepted by the workflow, or SendFailed."""
        lines = [line for line in evidence(message).splitlines() if line][:_MOST_LINES]
        blocks = [_block(title(message), weight="Bolder", size="Medium"), *map(_block, lines)]
        links = [("Open", message.link)] if message.link else []
        links += [(action.label, action.url) for action in message.actions]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
            "actions": [
                {"type": "Action.OpenUrl", "title": label, "url": url} for label, url in links
            ],
        }
        kind = "application/vnd.microsoft.card.adaptive"
        attachment = {"contentType": kind, "contentUrl": None, "content": card}
        content = {"type": "message", "attachments": [attachment]}
        http.post_json(self._url, content, {}, self._allow_internal)


def _block(text: str, **looks: Any) -> dict[str, Any]:
    escaped = _MARKS.sub(r"\\\1", shortened(text, _LONGEST_LINE))
    return {"type": "TextBlock", "text": escaped, "wrap": True, **looks}
