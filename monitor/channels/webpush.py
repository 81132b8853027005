"""Web Push: a message to one browser that subscribed, even if none of our pages is open.

RFC 8030 (the push service and its headers), RFC 8291 over 8188 (encryption: only the browser can
read the message), RFC 8292 (VAPID: identifies the sender to the push service). The browser's
service worker gets a JSON object with `title`, `body`, `url`, `kind` and `tag`; a notification
replaces an older one with the same tag.
"""

import hashlib
import json
import time
from base64 import b64decode, urlsafe_b64encode
from email.utils import parseaddr
from typing import NamedTuple
from urllib.parse import urlsplit

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from py_vapid import Vapid02
from sqlalchemy import Engine

from monitor.channels import http
from monitor.channels.interface import Message, SendFailed
from monitor.model import DAY, HOUR, SECOND
from monitor.state import secrets
from monitor.state.channels import BROWSER_PREFIX
from monitor.vault import Vault

_TTL = DAY // SECOND
"""How long (s) the push service keeps a message for a browser that is offline."""

_LARGEST = 2_800  # push services must accept 4,096 bytes, encrypted; some accept no more
_LONGEST = 2_000
_LONGEST_TITLE = 200
_SIGNED_FOR = 12 * HOUR // SECOND  # at most 24 h, and clocks differ


class Subscription(NamedTuple):
    """A browser's push subscription. Anyone who has it can send to the browser."""

    endpoint: str
    p256dh: str
    """The browser's public key, in base64url."""
    auth: str
    """The authentication secret shared with the browser, in base64url."""

    @property
    def origin(self) -> str:
        """The push service's origin. Unlike the rest of the endpoint, it is not secret."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def channel(self) -> str:
        """The name of the channel that reaches this browser."""
        return f"{BROWSER_PREFIX}{hashlib.sha256(self.endpoint.encode()).hexdigest()[:8]}"

    def check(self) -> None:
        """Raises BadSubscription if a field is invalid."""
        checks = (
            ("endpoint", _check_endpoint),
            ("p256dh", _check_public_key),
            ("auth", _check_secret),
        )
        for field, check in checks:
            try:
                check(getattr(self, field))
            except ValueError as error:
                raise BadSubscription(field, str(error)) from error


class BadSubscription(ValueError):
    """The subscription is invalid; `field` names the invalid field."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Identity:
    """The sender's identity for push services (VAPID): one key pair for all browsers.

    Browsers subscribe with its public key. `contact`: mailto: or https address of the operator.
    """

    def __init__(self, key: str, contact: str) -> None:
        """`key` is the result of `make_key`. Raises ValueError."""
        loaded = load_der_private_key(_decoded(key), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the Web Push key has the wrong type")
        self._key, self._contact = loaded, contact

    @property
    def public_key(self) -> str:
        """The browser's `applicationServerKey`: 65 bytes in base64url."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return _encoded(point)

    def headers(self, origin: str) -> dict[str, str]:
        """Headers that authenticate the sender to this push service (RFC 8292)."""
        expires = int(time.time()) + _SIGNED_FOR
        signer = Vapid02(self._key, conf={"no-strict": True})  # a contact may also be on loopback
        signed: dict[str, str] = signer.sign({"aud": origin, "sub": self._contact, "exp": expires})
        return signed


def make_key() -> str:
    """A new private key: DER in base64url."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _encoded(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def own_key(engine: Engine, vault: Vault) -> str:
    """This installation's private key, created if there is none.

    Raises StateUnavailable, and vault.Unreadable if the secret key has changed.
    """
    return secrets.once(engine, vault, "webpush", lambda: make_key().encode()).decode()


def contact(base_url: str, sender: str) -> str:
    """The contact for push services: the sender of our emails, or else the base URL's host."""
    address = parseaddr(sender)[1]
    if address:
        return f"mailto:{address}"
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return f"https://{parts.hostname}"
    return "mailto:heartbeat-monitor@localhost"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The settings of a browser's channel that are not secret."""

    contact: str
    """The contact that the push service gets."""
    push_service: str = ""
    subscribed_by: str = ""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The subscription, and the private key with whose public key the browser subscribed."""

    endpoint: str
    p256dh: str
    auth: str
    key: str


def make(name: str, settings: Settings, secrets: Secrets, allow_internal: bool) -> "WebPush":
    """The channel. Raises ValueError."""
    subscription = Subscription(secrets.endpoint, secrets.p256dh, secrets.auth)
    identity = Identity(secrets.key, settings.contact)
    return WebPush(name, subscription, identity, allow_internal)


class WebPush:
    """One browser."""

    def __init__(
        self,
        name: str,
        subscription: Subscription,
        identity: Identity,
        allow_internal: bool = False,
    ) -> None:
        self.name = name
        self._subscription, self._identity = subscription, identity
        self._allow_internal = allow_internal

    def send(self, message: Message) -> None:
        """Returns once the push service accepted the message. Raises SendFailed, with `gone` if
        the browser unsubscribed."""
        to = self._subscription
        encrypted = http_ece.encrypt(
            payload(message),
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=_decoded(to.p256dh),
            auth_secret=_decoded(to.auth),
            version="aes128gcm",
        )
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(_TTL),
            "Urgency": "normal" if message.kind == "recovered" else "high",
            **self._identity.headers(to.origin),
        }
        if message.thread:
            headers["Topic"] = topic(message.thread)
        try:
            http.post(to.endpoint, encrypted, headers, self._allow_internal)
        except http.Refused as refused:
            if refused.status not in (404, 410):
                raise
            detail = "the browser has unsubscribed"
            raise SendFailed(detail, permanent=True, gone=True) from None


def topic(thread: str) -> str:
    """The Topic header: at most 32 characters of base64url. A message replaces an undelivered one
    with the same topic at the push service."""
    return _encoded(hashlib.sha256(thread.encode()).digest())[:32]


def payload(message: Message) -> bytes:
    """The JSON for the service worker, short enough for every push service."""
    content = {
        "title": message.subject[:_LONGEST_TITLE],
        "body": message.text.partition("\n\n")[2].strip(),  # the first paragraph is the subject
        "tag": topic(message.thread or message.key),
        "url": message.link,
        "kind": message.kind,
    }
    excess = len(_json(content)) - _LARGEST
    if excess > 0:
        content["body"] = _shortened(content["body"], excess)
    return _json(content)


def _json(content: dict[str, str]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _shortened(text: str, excess: int) -> str:
    """The text without its last `excess` bytes."""
    kept = text.encode()[: -excess - len("…".encode())]
    return kept.decode(errors="ignore").rstrip() + "…"


def _check_endpoint(text: str) -> None:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for an invalid port
    if parts.scheme != "https" or not parts.hostname or parts.username or len(text) > _LONGEST:
        raise ValueError("must be an address like https://push.example.org/…")


def _check_public_key(text: str) -> None:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decoded(text))
    except ValueError:
        raise ValueError("must be a public key of the curve P-256 in base64url") from None


def _check_secret(text: str) -> None:
    if len(_decoded(text)) != 16:
        raise ValueError("must be 16 bytes in base64url")


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Raises ValueError."""
    unpadded = text.rstrip("=").encode("ascii")
    return b64decode(unpadded + b"=" * (-len(unpadded) % 4), altchars=b"-_", validate=True)
