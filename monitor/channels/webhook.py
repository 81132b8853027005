"""A webhook: one POST of JSON for each message.

The body is the message's data, as outbox/message.py composes it, with its `key`. A message may
come more than once, then with the same bytes and the same `Idempotency-Key` header. Any 2xx answer
accepts it; 408, 425, 429 and 5xx ask for a repetition, in time with `Retry-After`; all else
refuses it for good.

With a signing secret three headers are those of Standard Webhooks (standardwebhooks.com):
`webhook-id` (the key), `webhook-timestamp` (seconds since 1970) and `webhook-signature`:
`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, by the secret's bytes. The timestamp
is that of the message's writing and stays the same when it is repeated, which may go on for days:
tell repetitions by the id rather than by age.
"""

import base64
import hashlib
import hmac
import json
from urllib.parse import urlsplit

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message
from monitor.model import SECOND


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where it is."""

    url: str


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What lets the receiver know that it is we who call."""

    signing_secret: str = ""


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Webhook":
    """The channel. Raises ValueError."""
    return Webhook(settings.url, allow_internal, secrets.signing_secret, name)


class Webhook:
    """One URL that is told of every message. Raises ValueError for what is not an HTTP URL."""

    def __init__(
        self,
        url: str,
        allow_internal: bool = False,
        signing_secret: str = "",
        name: str = "webhook",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: must look like https://example.org/path")
        self.name = name
        self._url, self._allow_internal = url, allow_internal
        self._secret = signing_secret.encode()

    def send(self, message: Message) -> None:
        """Accepted by a 2xx answer, or SendFailed."""
        body = json.dumps(message.data, ensure_ascii=False, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
        if self._secret:
            headers |= self._signed(message, body)
        http.post(self._url, body, headers, self._allow_internal)

    def _signed(self, message: Message, body: bytes) -> dict[str, str]:
        timestamp = str(message.time // SECOND)
        signed = f"{message.key}.{timestamp}.".encode() + body
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return {
            "webhook-id": message.key,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
