"""Fixtures of this directory."""

from tests.certificates import authority, certificate

__all__ = ["authority", "certificate"]
