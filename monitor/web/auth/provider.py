"""An OpenID Connect provider: which of its users may log in, and with which role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from monitor.state.users import ROLES


class NotWelcome(Exception):
    """The provider knows the user, but the user may not log in here; the text gives the reason."""


@dataclass(frozen=True)
class Provider:
    """The provider, and the rules for its users."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    claim: str
    """The claim that holds a user's groups."""
    groups: Mapping[str, Iterable[str]]
    """Role -> the groups that have it; `*` stands for all users."""
    domain: str = ""
    """Only users with a verified email address of this domain may log in; empty for all."""

    @property
    def name(self) -> str:
        """Its name on the login page."""
        return urlsplit(self.issuer).hostname or self.issuer

    def role(self, claims: Mapping[str, Any]) -> str:
        """The highest role of the user's groups. Raises NotWelcome."""
        _, _, domain = email_of(claims).rpartition("@")
        if self.domain and domain != self.domain.lower():
            raise NotWelcome(f"Only users of {self.domain} can log in here.")
        held = claims.get(self.claim)
        groups = {"*", *(held if isinstance(held, list) else [held])}
        for role in reversed(ROLES):
            if groups.intersection(self.groups.get(role, ())):
                return role
        raise NotWelcome("None of your groups has access here. Ask an administrator.")


def email_of(claims: Mapping[str, Any]) -> str:
    """The email address, if the provider has verified it; else empty."""
    return str(claims.get("email", "")).lower() if claims.get("email_verified") is True else ""
