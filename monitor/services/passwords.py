"""Passwords: hashed with argon2id (RFC 9106) and the parameters of OWASP's cheat sheet."""

import functools
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
LONGEST = 1_000

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_DIFFERENT = 5
_USUAL = (
    "password",
    "passwort",
    "qwertyuiop",
    "qwertzuiop",
    "1234567890",
    "0987654321",
    "0123456789",
    "letmein",
    "administrator",
    "heartbeat",
    "abcdefghij",
    "changeme",
)


def weakness(password: str, *about: str | None) -> str | None:
    """Why the password is too easy to guess, to follow "the password"; None: it is strong enough.

    `about`: what other people know about the user.
    """
    normalized = _normalized(password).casefold()
    if len(normalized) < SHORTEST:
        return f"must have at least {SHORTEST} characters."
    if len(normalized) > LONGEST:
        return f"must have at most {LONGEST} characters."
    if len(set(normalized)) < _DIFFERENT:
        return f"must have at least {_DIFFERENT} different characters."
    for known in (*_USUAL, *(_normalized(text).casefold() for text in about if text)):
        # The rest is too short: attackers try such words first.
        if known in normalized and len(normalized.replace(known, "")) < SHORTEST // 2:
            return "is too easy to guess: it is close to a name or a common word"
    return None


def hashed(password: str) -> str:
    """Returns the hash to store."""
    return _HASHER.hash(_encoded(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether the password has this hash. Takes the same time if there is no hash (None)."""
    try:
        return _HASHER.verify(stored or _of_no_user(), _encoded(password)) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def outdated(stored: str) -> bool:
    """Whether the hash has other parameters than new hashes."""
    return _HASHER.check_needs_rehash(stored)


@functools.cache
def _of_no_user() -> str:
    return hashed(secrets.token_urlsafe())


def _normalized(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _encoded(password: str) -> bytes:
    return _normalized(password).encode("utf-8", "surrogatepass")
