"""Microsoft Teams: an Adaptive Card, sent to a workflow that starts "When a Teams webhook request
is received"."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message
from monitor.channels.text import evidence, shortened, shortened_bytes, title

_LONGEST = 10_000  # bytes; a whole message may have 28 KB
_LONGEST_TITLE = 300
_MOST_LINES = 30


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Empty: all settings are secret."""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The workflow's URL as Teams shows it. Anyone who has it can post."""

    workflow_url: str


def make(name: str, _settings: Settings, secrets: Secrets, allow_internal: bool) -> "Teams":
    """The channel. Raises ValueError."""
    parts = urlsplit(secrets.workflow_url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("workflow_url: must be the https address that the workflow shows")
    if parts.scheme == "http" and not allow_internal:
        raise ValueError("workflow_url: must start with https://")
    return Teams(name, parts.geturl(), allow_internal)


class Teams:
    """One chat or channel."""

    def __init__(self, name: str, url: str, allow_internal: bool) -> None:
        self.name, self._url, self._allow_internal = name, url, allow_internal

    def send(self, message: Message) -> None:
        """Returns once the workflow accepted the message. Raises SendFailed."""
        lines = shortened_bytes(evidence(message), _LONGEST).splitlines()
        heading = shortened(title(message), _LONGEST_TITLE)
        blocks = [
            _block(heading, weight="Bolder", size="Medium"),
            *(_block(line) for line in lines[:_MOST_LINES] if line),
        ]
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


def _block(text: str, **style: str) -> dict[str, Any]:
    """A block of plain text. A TextRun, unlike a TextBlock, does not interpret Markdown."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
