"""Encrypts stored secrets and signs tokens with the secret key."""

import base64
import hashlib
import hmac
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, URLSafeSerializer


class Unreadable(Exception):
    """The secret was encrypted with another secret key, or is damaged."""


class Vault:
    """Derives a separate key for each purpose from one secret key (HKDF, RFC 5869)."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self.derive("secrets at rest")))

    def derive(self, purpose: str) -> bytes:
        """The key for this purpose: 32 bytes, the same at each call."""
        derivation = HKDF(SHA256(), 32, salt=None, info=f"heartbeat-monitor {purpose}".encode())
        return derivation.derive(self._secret_key)

    def encrypt(self, secret: bytes) -> bytes:
        """Encrypts a secret for storage. The result is different at each call."""
        return self._fernet.encrypt(secret)

    def decrypt(self, stored: bytes) -> bytes:
        """Decrypts a stored secret. Raises Unreadable."""
        try:
            return self._fernet.decrypt(stored)
        except InvalidToken:
            raise Unreadable("encrypted with another secret key, or damaged") from None

    def sign(self, purpose: str, payload: dict[str, Any]) -> str:
        """A signed token for URLs. `payload` is not encrypted. It is the same at each call."""
        return str(self._serializer(purpose).dumps(payload))

    def verify(self, purpose: str, token: str) -> dict[str, Any] | None:
        """The payload, or None if the token was not signed with this key for this purpose."""
        try:
            payload: dict[str, Any] = self._serializer(purpose).loads(token)
        except BadSignature:
            return None
        # The last character of a signature has two unused bits: accept only the canonical form.
        ours, given = self.sign(purpose, payload).encode(), token.encode("utf-8", "replace")
        return payload if hmac.compare_digest(ours, given) else None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self.derive(f"signed {purpose}"), signer_kwargs={"digest_method": hashlib.sha256}
        )
