"""The certificate authorities that outgoing connections trust.

The setting `tls.ca_file` adds to the usual ones, so that a private authority and public services
work side by side. The usual variables replace the authorities of the system; those of all variables
are trusted.
"""

import os
import ssl
from functools import lru_cache
from pathlib import Path

ADDED = "MONITOR_TLS_CA_FILE"
"""The variable with the value of `tls.ca_file`. The command line sets it for this process and its
children."""

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_OPENSSL = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""OpenSSL itself reads these when it loads the authorities of the system."""


def tls_context() -> ssl.SSLContext:
    """A new context for a client. Raises OSError, of which ssl.SSLError is a kind, if a file with
    authorities can't be used."""
    bundle, replaced = _first(*_BUNDLES), _first(*_OPENSSL)
    if bundle:
        is_directory = Path(bundle).is_dir()
        context = ssl.create_default_context(
            cafile=None if is_directory else bundle, capath=bundle if is_directory else None
        )
        if replaced:
            context.load_default_certs()
    else:
        context = ssl.create_default_context()
        if not replaced:
            # A minimal system has none, and Requests trusts these.
            import certifi

            context.load_verify_locations(certifi.where())
    if added := _first(ADDED):
        context.load_verify_locations(added)
    return context


def http_context() -> ssl.SSLContext:
    """The context that all HTTP connections share, because it is expensive to make. Other protocols
    need one of their own: urllib3 offers HTTP in it. Raises OSError."""
    return _shared(*map(_first, (ADDED, *_BUNDLES, *_OPENSSL)))


@lru_cache(maxsize=1)
def _shared(*_variables: str) -> ssl.SSLContext:
    return tls_context()


def authorities_file() -> str:
    """The file for a library that takes only one file, such as PostgreSQL's. Empty: none is set."""
    return _first(ADDED, *_BUNDLES, "SSL_CERT_FILE")


def _first(*variables: str) -> str:
    return next((value for name in variables if (value := os.environ.get(name))), "")
