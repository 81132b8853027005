"""Discord: a webhook of a channel (discord.com/developers/docs/resources/webhook)."""

import re

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message
from monitor.channels.text import evidence, shortened, title

_LONGEST_TITLE = 256
_LONGEST = 3_500  # of 4,096, for the links follow
_WAIT = "?wait=true"  # else what could not be kept is answered as if it were
_COLOURS = {"recovered": 0x2E7D32, "notice": 0x546E7A, "test": 0x546E7A}
_ALARM = 0xC62828
_MARKS = re.compile(r"([\\`*_~|<>\[\]()#])")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which webhook: the number in its URL."""

    webhook_id: str
    endpoint: str = "https://discord.com/api/webhooks"


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The last part of the webhook's URL."""

    token: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Discord":
    """The channel. Raises ValueError."""
    endpoint = http.checked_url("endpoint", settings.endpoint)
    if not re.fullmatch(r"[0-9]{5,25}", settings.webhook_id):
        raise ValueError("webhook_id: must be the number in the webhook's URL")
    if not re.fullmatch(r"[A-Za-z0-9_-]{20,200}", secrets.token):
        raise ValueError("token: must be the last part of the webhook's URL")
    url = f"{endpoint}/{settings.webhook_id}/{secrets.token}{_WAIT}"
    return Discord(name, url, allow_internal)


class Discord:
    """One chat of one server."""

    def __init__(self, name: str, url: str, allow_internal: bool) -> None:
        self.name, self._url, self._allow_internal = name, url, allow_internal

    def send(self, message: Message) -> None:
        """Accepted by Discord, or SendFailed."""
        links = [f"[{_escaped(action.label)}]({action.url})" for action in message.actions]
        shown = {
            "title": shortened(_escaped(title(message)), _LONGEST_TITLE),
            "description": "\n\n".join(
                part for part in (shortened(_escaped(evidence(message)), _LONGEST), *links) if part
            ),
            "color": _COLOURS.get(message.kind, _ALARM),
        }
        if message.link:
            shown["url"] = message.link
        content = {"embeds": [shown], "allowed_mentions": {"parse": []}}
        http.post_json(self._url, content, {}, self._allow_internal)


def _escaped(text: str) -> str:
    """Names are text, whatever marks of Discord's they hold."""
    return _MARKS.sub(r"\\\1", text)
