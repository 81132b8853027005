"""Discord: a channel's webhook (discord.com/developers/docs/resources/webhook)."""

import re

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message
from monitor.channels.text import evidence, shortened, title

_LONGEST_TITLE = 256
_LONGEST = 3_500  # of 4,096: the links follow
_WAIT = "?wait=true"  # without it, Discord answers 2xx even if it could not save the message
_COLOURS = {"recovered": 0x2E7D32, "notice": 0x546E7A, "test": 0x546E7A}
_ALARM = 0xC62828
_MARKUP = re.compile(r"([\\`*_~|<>\[\]()#])")


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The webhook: the number in its URL."""

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
    """One channel of one Discord server."""

    def __init__(self, name: str, url: str, allow_internal: bool) -> None:
        self.name, self._url, self._allow_internal = name, url, allow_internal

    def send(self, message: Message) -> None:
        """Returns once Discord accepted the message. Raises SendFailed."""
        links = [f"[{_escaped(action.label)}]({action.url})" for action in message.actions]
        embed = {
            "title": shortened(_escaped(title(message)), _LONGEST_TITLE),
            "description": "\n\n".join(
                part for part in (shortened(_escaped(evidence(message)), _LONGEST), *links) if part
            ),
            "color": _COLOURS.get(message.kind, _ALARM),
        }
        if message.link:
            embed["url"] = message.link
        content = {"embeds": [embed], "allowed_mentions": {"parse": []}}
        http.post_json(self._url, content, {}, self._allow_internal)


def _escaped(text: str) -> str:
    """The text with Discord's markup characters escaped."""
    return _MARKUP.sub(r"\\\1", text)
