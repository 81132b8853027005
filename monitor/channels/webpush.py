"""Web Push: a message to one browser that subscribed, even while no page of ours is open.

RFC 8030 (the push service and its headers), RFC 8291 over 8188 (only the browser can read the
message), RFC 8292 (VAPID: the push service knows who sends). The browser's service worker gets a
JSON object of `title`, `body`, `url`, `kind` and `tag`; the same tag replaces what is shown.
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
"""For how long the push service keeps a message for a browser that is away."""

_LARGEST = 2_800  # push services take 4,096 bytes at least, encrypted; some of them no more
_LONGEST = 2_000
_LONGEST_TITLE = 200
_SIGNED_FOR = 12 * HOUR // SECOND  # at most 24 h, and clocks differ


class Subscription(NamedTuple):
    """What a browser gives away so that it can be reached. Whoever has it can write to it."""

    endpoint: str
    p256dh: str
    """Its public key, in base64url."""
    auth: str
    """A secret it shares with us, in base64url."""

    @property
    def origin(self) -> str:
        """The push service; unlike the rest of the endpoint no secret."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def channel(self) -> str:
        """The name of the channel that reaches this browser."""
        return f"{BROWSER_PREFIX}{hashlib.sha256(self.endpoint.encode()).hexdigest()[:8]}"

    def check(self) -> None:
        """Whether a browser can have given it away. Raises BadSubscription."""
        for field, check in (("endpoint", _endpoint), ("p256dh", _point), ("auth", _shared)):
            try:
                check(getattr(self, field))
            except ValueError as error:
                raise BadSubscription(field, str(error)) from error


class BadSubscription(ValueError):
    """What was given can't be a subscription; `field` names the part at fault."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Identity:
    """Who we are to push services: one key for all browsers, which subscribe with its public half.

    `contact`: mailto: or https address of whoever answers for this service.
    """

    def __init__(self, key: str, contact: str) -> None:
        """`key` as `make_key` made it. Raises ValueError."""
        loaded = load_der_private_key(_decoded(key), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the Web Push key has the wrong type")
        self._key, self._contact = loaded, contact

    @property
    def public_key(self) -> str:
        """For the browser's `applicationServerKey`: 65 bytes in base64url."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return _encoded(point)

    def headers(self, origin: str) -> dict[str, str]:
        """Proof for this push service that it is we who send (RFC 8292)."""
        expires = int(time.time()) + _SIGNED_FOR
        signer = Vapid02(self._key, conf={"no-strict": True})  # a contact may also be on loopback
        signed: dict[str, str] = signer.sign({"aud": origin, "sub": self._contact, "exp": expires})
        return signed


def make_key() -> str:
    """A new private key: DER in base64url."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _encoded(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def own_key(engine: Engine, vault: Vault) -> str:
    """The key of this installation, made when there is none yet.

    Raises StateUnavailable, and vault.Unreadable when the secret key is another one.
    """
    return secrets.once(engine, vault, "webpush", lambda: make_key().encode()).decode()


def contact(base_url: str, sender: str) -> str:
    """Whom a push service may ask: the sender of our emails, or whoever serves our pages."""
    address = parseaddr(sender)[1]
    if address:
        return f"mailto:{address}"
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return f"https://{parts.hostname}"
    return "mailto:heartbeat-monitor@localhost"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be shown of a browser's channel."""

    contact: str
    """What its push service is told of us."""
    push_service: str = ""
    subscribed_by: str = ""


class Secrets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The subscription, and our private key: it is valid only together with that."""

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
        """Accepted by the push service, or SendFailed; `gone` when the browser unsubscribed."""
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
    """Replaces what the push service still keeps under it: at most 32 characters of base64url."""
    return _encoded(hashlib.sha256(thread.encode()).digest())[:32]


def payload(message: Message) -> bytes:
    """What the browser is told, short enough for every push service."""
    content = {
        "title": message.subject[:_LONGEST_TITLE],
        "body": message.text.partition("\n\n")[2].strip(),  # its first paragraph is the subject
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
    """Without its last `excess` bytes."""
    kept = text.encode()[: -excess - len("…".encode())]
    return kept.decode(errors="ignore").rstrip() + "…"


def _endpoint(text: str) -> None:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for what is no number
    if parts.scheme != "https" or not parts.hostname or parts.username or len(text) > _LONGEST:
        raise ValueError("must be an address like https://push.example.org/…")


def _point(text: str) -> None:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decoded(text))
    except ValueError:
        raise ValueError("must be a public key of the curve P-256 in base64url") from None


def _shared(text: str) -> None:
    if len(_decoded(text)) != 16:
        raise ValueError("must be 16 bytes in base64url")


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Raises ValueError."""
    unpadded = text.rstrip("=").encode("ascii")
    return b64decode(unpadded + b"=" * (-len(unpadded) % 4), altchars=b"-_", validate=True)
