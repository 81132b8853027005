"""Slack: an incoming webhook (api.slack.com/messaging/webhooks)."""

import re
from typing import Any

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message, SendFailed
from monitor.channels.text import evidence, shortened, title

_LONGEST = 2_900  # a section has at most 3,000 characters
_CUT = re.compile("&[a-z]{0,3}…$")
_PATH = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){1,3}")
_WORD = re.compile(r"[a-z_]{1,60}")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Slack's address."""

    endpoint: str = "https://hooks.slack.com/services"


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The webhook: its URL, or the part after /services/."""

    webhook: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Slack":
    """The channel. Raises ValueError."""
    endpoint = http.checked_url("endpoint", settings.endpoint)
    path = secrets.webhook.strip().removeprefix(endpoint + "/").strip("/")
    if not _PATH.fullmatch(path):
        raise ValueError(f"webhook: must be the webhook's URL: {endpoint}/…/…/…")
    return Slack(name, f"{endpoint}/{path}", allow_internal)


class Slack:
    """One channel of one workspace."""

    def __init__(self, name: str, url: str, allow_internal: bool) -> None:
        self.name, self._url, self._allow_internal = name, url, allow_internal

    def send(self, message: Message) -> None:
        """Returns once Slack accepted the message. Raises SendFailed."""
        links = [f"<{message.link}|Open>"] if message.link else []
        links += [f"<{action.url}|{_escaped(action.label)}>" for action in message.actions]
        sections = [f"*{_escaped(title(message))}*", _escaped(evidence(message)), " · ".join(links)]
        content = {
            "text": _escaped(title(message)),
            "unfurl_links": False,  # a preview would request the link to acknowledge
            "unfurl_media": False,
            "blocks": [_section(section) for section in sections if section],
        }
        try:
            http.post_json(self._url, content, {}, self._allow_internal)
        except http.Refused as refused:
            raise _explained(refused) from None


def _section(text: str) -> dict[str, Any]:
    fitting = _CUT.sub("…", shortened(text, _LONGEST))
    # Verbatim: a name like @here is plain text and notifies no one.
    return {"type": "section", "text": {"type": "mrkdwn", "text": fitting, "verbatim": True}}


def _explained(refused: http.Refused) -> SendFailed:
    """Adds Slack's error code, such as no_service."""
    word = refused.answer.body.decode("utf-8", "replace").strip()
    if _WORD.fullmatch(word):
        refused.detail += f": {word}"
    return refused


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
