"""A browser with a push subscription, which can decrypt the messages sent to it."""

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from monitor.channels.webpush import Subscription
from tests.receiver import Request


def encoded(content: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The bytes behind base64url."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """A browser's keys and its subscription."""

    def __init__(self, endpoint: str) -> None:
        self._key, self._auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.subscription = Subscription(endpoint, encoded(point), encoded(self._auth))

    def as_json(self) -> dict[str, Any]:
        """The subscription as JSON, as the Push API gives it."""
        keys = {"p256dh": self.subscription.p256dh, "auth": self.subscription.auth}
        return {"endpoint": self.subscription.endpoint, "expirationTime": None, "keys": keys}

    def read(self, request: Request) -> dict[str, Any]:
        """Decrypt a request to the push service, as the browser does."""
        assert request.headers["Content-Encoding"] == "aes128gcm"
        body = http_ece.decrypt(request.body, private_key=self._key, auth_secret=self._auth)
        content: dict[str, Any] = json.loads(body)
        return content


def signed_claims(request: Request, public_key: str) -> dict[str, Any]:
    """The VAPID claims (RFC 8292) of a request. Raises if this key did not sign them."""
    scheme, _, parameters = request.headers["Authorization"].partition(" ")
    assert scheme == "vapid"
    given = dict(part.strip().split("=", 1) for part in parameters.split(","))
    assert given["k"] == public_key
    signed, _, signature = given["t"].rpartition(".")
    header, claims = (json.loads(decoded(part)) for part in signed.split("."))
    assert header == {"typ": "JWT", "alg": "ES256"}
    r, s = decoded(signature)[:32], decoded(signature)[32:]
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(public_key))
    der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    point.verify(der, signed.encode(), ec.ECDSA(SHA256()))
    content: dict[str, Any] = claims
    return content
