"""An OpenID Connect provider: whom it vouches for, and what they may do here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from monitor.state.users import ROLES


class NotWelcome(Exception):
    """The provider knows the user, but the user may not log in here; the text gives the reason."""


@dataclass(frozen=True)
class Provider:
    """Who vouches for people, and for whom it counts."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    claim: str
    """Which claim of the identity token names a person's groups."""
    groups: Mapping[str, Iterable[str]]
    """Role -> the groups that have it; "*": everybody."""
    domain: str = ""
    """Only people with a verified email address of this domain; empty: any."""

    @property
    def name(self) -> str:
        """What people know it by."""
        return urlsplit(self.issuer).hostname or self.issuer

    def role(self, claims: Mapping[str, Any]) -> str:
        """The highest of their roles. Raises NotWelcome."""
        _, _, domain = email_of(claims).rpartition("@")
        if self.domain and domain != self.domain.lower():
            raise NotWelcome(f"Only users of {self.domain} can log in here.")
        held = claims.get(self.claim)
        mine = {"*", *(held if isinstance(held, list) else [held])}
        for role in reversed(ROLES):
            if mine.intersection(self.groups.get(role, ())):
                return role
        raise NotWelcome("None of your groups has access here. Ask an administrator.")


def email_of(claims: Mapping[str, Any]) -> str:
    """Where the provider has verified it; else empty."""
    return str(claims.get("email", "")).lower() if claims.get("email_verified") is True else ""
