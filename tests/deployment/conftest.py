"""A certificate authority for the services that these tests start."""

from tests.certificates import authority

__all__ = ["authority"]
