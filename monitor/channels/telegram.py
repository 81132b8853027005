"""Telegram: a bot that sends to one chat (core.telegram.org/bots/api#sendmessage)."""

import logging
import re

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message, SendFailed
from monitor.channels.text import evidence, shortened, title
from monitor.decoding import from_json
from monitor.model import SECOND

_LONGEST = 4_000  # of 4,096, with a margin

_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The chat: its number, or the @name of a public channel."""

    chat_id: str
    endpoint: str = "https://api.telegram.org"


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The token from @BotFather."""

    bot_token: str


class _Parameters(msgspec.Struct):
    retry_after: int = 0
    migrate_to_chat_id: int | None = None


class _Reply(msgspec.Struct):
    description: str = ""
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Telegram":
    """The channel. Raises ValueError."""
    endpoint = http.checked_url("endpoint", settings.endpoint)
    if not re.fullmatch(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{3,64}", settings.chat_id):
        raise ValueError("chat_id: must be a number, or @ and the name of a public channel")
    if not re.fullmatch(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,80}", secrets.bot_token):
        raise ValueError("bot_token: must be the token from @BotFather: digits, a colon, letters")
    url = f"{endpoint}/bot{secrets.bot_token}/sendMessage"
    return Telegram(name, url, settings.chat_id, allow_internal)


class Telegram:
    """One chat."""

    def __init__(self, name: str, url: str, chat: str, allow_internal: bool) -> None:
        self.name, self._url, self._chat = name, url, chat
        self._allow_internal = allow_internal

    def send(self, message: Message) -> None:
        """Returns once Telegram accepted the message. Raises SendFailed."""
        links = "\n".join(f"{action.label}: {action.url}" for action in message.actions)
        head = "\n\n".join(part for part in (title(message), evidence(message)) if part)
        room = _LONGEST - len(links) - 2 if links else _LONGEST
        text = shortened(head, room) + (f"\n\n{links}" if links else "")
        try:
            self._post(text)
        except http.Refused as refused:
            raise _explained(refused, _reply(refused)) from None

    def _post(self, text: str) -> None:
        """Raises http.Refused, SendFailed."""
        content = {
            "text": text,  # without a parse mode it is plain text, so names need no escaping
            "link_preview_options": {"is_disabled": True},
        }
        try:
            http.post_json(self._url, {"chat_id": self._chat, **content}, {}, self._allow_internal)
        except http.Refused as refused:
            moved = _reply(refused).parameters.migrate_to_chat_id
            if moved is None:
                raise
            _log.warning(
                "channel %s: the group became a supergroup; set chat_id to %d", self.name, moved
            )
            http.post_json(self._url, {"chat_id": str(moved), **content}, {}, self._allow_internal)


def _reply(refused: http.Refused) -> _Reply:
    try:
        return from_json(refused.answer.body, _Reply)
    except msgspec.DecodeError:
        return _Reply()


def _explained(refused: http.Refused, reply: _Reply) -> SendFailed:
    """Adds Telegram's error text and its `retry_after`."""
    if reply.parameters.retry_after > 0 and not refused.permanent:
        refused.retry_after = reply.parameters.retry_after * SECOND
    if reply.description:
        refused.detail += f": {shortened(' '.join(reply.description.split()), 150)}"
    return refused
