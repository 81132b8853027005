"""TLS: reads the certificate and its key."""

import re
import ssl
from pathlib import Path

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----")


class CertificateError(Exception):
    """The certificate or its key can't be used. `part` is "certificate" or "key"."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part, self.reason = part, reason


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """A context for TLS 1.2 and later. `certificate`: a PEM file with the certificate and the chain
    up to the authority; `key`: a PEM file, None if the certificate's file has the key too. Raises
    CertificateError."""
    if not _CERTIFICATE.search(_read("certificate", certificate)):
        raise CertificateError("certificate", f"{certificate} has no certificate in PEM format")
    if not _KEY.search(_read("key", key or certificate)):
        if key is None:
            raise CertificateError("key", f"must be set, because {certificate} has no private key")
        raise CertificateError("key", f"{key} has no private key in PEM format")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # By default, OpenSSL asks for the password on the terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(
                "key", f"{key or certificate} is not the key of the certificate"
            ) from error
        raise CertificateError("certificate", f"can't be used: {error.reason}") from error
    return context


def _read(part: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(part, f"can't read {path}: {error.strerror}") from error


def _no_password() -> str:
    raise CertificateError("key", "must not be protected by a password")
