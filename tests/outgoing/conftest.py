"""A certificate authority that no other program trusts."""

from tests.certificates import authority

__all__ = ["authority"]
