"""What the secret key is for: secrets at rest, and tokens that only we could have made."""

import base64
import hashlib
import hmac
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, URLSafeSerializer


class Unreadable(Exception):
    """Encrypted with another secret key, or damaged."""


class Vault:
    """Made from one secret key; each use has a key of its own, derived from it (RFC 5869)."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self.derive("secrets at rest")))

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for this purpose alone; the same each time."""
        derivation = HKDF(SHA256(), 32, salt=None, info=f"heartbeat-monitor {purpose}".encode())
        return derivation.derive(self._secret_key)

    def encrypt(self, secret: bytes) -> bytes:
        """What may be stored; different each time."""
        return self._fernet.encrypt(secret)

    def decrypt(self, stored: bytes) -> bytes:
        """The secret. Raises Unreadable."""
        try:
            return self._fernet.decrypt(stored)
        except InvalidToken:
            raise Unreadable("encrypted with another secret key, or damaged") from None

    def sign(self, purpose: str, payload: dict[str, Any]) -> str:
        """A token for a URL that holds `payload` legibly; the same each time."""
        return str(self._serializer(purpose).dumps(payload))

    def verify(self, purpose: str, token: str) -> dict[str, Any] | None:
        """The payload, or None when we did not sign this token for this purpose."""
        try:
            payload: dict[str, Any] = self._serializer(purpose).loads(token)
        except BadSignature:
            return None
        # The last letter of a signature holds two bits that mean nothing: only as we wrote it.
        ours, given = self.sign(purpose, payload).encode(), token.encode("utf-8", "replace")
        return payload if hmac.compare_digest(ours, given) else None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self.derive(f"signed {purpose}"), signer_kwargs={"digest_method": hashlib.sha256}
        )
