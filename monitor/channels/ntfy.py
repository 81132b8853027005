"""ntfy: push notifications by topic, from ntfy.sh or your own server (docs.ntfy.sh/publish)."""

import re
from base64 import b64encode
from typing import Any

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message
from monitor.channels.text import evidence, shortened, shortened_bytes

_LONGEST = 3_900  # bytes; ntfy makes a longer text than 4,096 bytes an attachment
_URGENT, _HIGH, _USUAL = 5, 4, 3
_TAGS = {"recovered": "white_check_mark", "notice": "information_source", "test": "test_tube"}


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The topic and its server."""

    topic: str
    server: str = "https://ntfy.sh"
    username: str = ""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For a topic that is not public. Set at most one."""

    token: str = ""
    password: str = ""


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Ntfy":
    """The channel. Raises ValueError."""
    server = http.checked_url("server", settings.server)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", settings.topic):
        raise ValueError("topic: must be at most 64 letters, digits, _ and -")
    if bool(settings.username) != bool(secrets.password):
        raise ValueError("username and password must be set together")
    if secrets.token and secrets.password:
        raise ValueError("needs a token or a password, not both")
    headers = {}
    if secrets.token:
        headers["Authorization"] = f"Bearer {secrets.token}"
    elif secrets.password:
        login = b64encode(f"{settings.username}:{secrets.password}".encode()).decode()
        headers["Authorization"] = f"Basic {login}"
    return Ntfy(name, server, settings.topic, headers, allow_internal)


class Ntfy:
    """One topic."""

    def __init__(
        self, name: str, server: str, topic: str, headers: dict[str, str], allow_internal: bool
    ) -> None:
        self.name, self._server, self._topic = name, server, topic
        self._headers, self._allow_internal = headers, allow_internal

    def send(self, message: Message) -> None:
        """Returns once the server accepted the message. Raises SendFailed."""
        content: dict[str, Any] = {
            "topic": self._topic,
            "title": shortened(message.subject, 250),
            "message": shortened_bytes(evidence(message) or message.subject, _LONGEST),
            "priority": _priority(message),
            "tags": [_TAGS.get(message.kind, "red_circle")],
            "actions": [
                {"action": "view", "label": action.label, "url": action.url}
                for action in message.actions[:3]
            ],
        }
        if message.link:
            content["click"] = message.link
        http.post_json(self._server, content, self._headers, self._allow_internal)


def _priority(message: Message) -> int:
    if message.kind in ("down", "reminder"):
        return _URGENT if message.severity == "critical" else _HIGH
    return _HIGH if message.kind == "flapping" else _USUAL
