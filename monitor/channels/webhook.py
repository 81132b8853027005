"""A webhook: one POST request with JSON for each message.

The body is the message's data, as outbox/message.py composes it, with its `key`. A message may be
sent more than once, each time with the same bytes and the same `Idempotency-Key` header. Any 2xx
status accepts it. 408, 425, 429 and 5xx are temporary failures: the message is sent again, after
`Retry-After` if that header is set. Any other status is a permanent failure.

With a signing secret there are three more headers, as in Standard Webhooks (standardwebhooks.com):
`webhook-id` (the key), `webhook-timestamp` (Unix seconds of this attempt) and `webhook-signature`:
`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. If the secret starts with `whsec_`,
the HMAC key is the rest of it, decoded from base64, as the libraries for receivers expect;
otherwise it is the secret's bytes. A receiver should check the signature, refuse a timestamp that
is minutes away from its own time, and recognize duplicates by the id, even days later.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from urllib.parse import urlsplit

import msgspec

from monitor.channels import http
from monitor.channels.interface import Message

_PREFIX = "whsec_"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The receiver's address."""

    url: str


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The secret with which the receiver verifies the sender."""

    signing_secret: str = ""


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "Webhook":
    """The channel. Raises ValueError."""
    return Webhook(settings.url, allow_internal, secrets.signing_secret, name)


class Webhook:
    """One URL that receives every message. Raises ValueError for an invalid setting."""

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
        self._secret = _key(signing_secret)

    def send(self, message: Message) -> None:
        """Returns once the receiver answered with 2xx. Raises SendFailed."""
        body = json.dumps(message.data, ensure_ascii=False, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
        if self._secret:
            headers |= self._signed(message, body)
        http.post(self._url, body, headers, self._allow_internal)

    def _signed(self, message: Message, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        signed = f"{message.key}.{timestamp}.".encode() + body
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return {
            "webhook-id": message.key,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def _key(signing_secret: str) -> bytes:
    if not signing_secret.startswith(_PREFIX):
        return signing_secret.encode()
    try:
        return base64.b64decode(signing_secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"signing_secret: the text after {_PREFIX} must be base64") from None
