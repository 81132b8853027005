"""Users, as the login pages and the access rules need them."""

from dataclasses import dataclass, field

from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.state import users
from monitor.state.database import reading
from monitor.vault import Vault
from monitor.web.auth.provider import Provider


@dataclass
class People:
    """Where users are stored, and how browsers reach the service."""

    engine: Engine
    vault: Vault
    clock: Clock
    base_url: str
    local: bool
    """Only this machine can connect, without a proxy that serves others."""
    proxies: int = 0
    """The number of reverse proxies in front, each of which adds to X-Forwarded-For."""
    provider: Provider | None = None
    """The OpenID Connect provider with which users can log in."""
    _exist: bool = field(default=False, init=False)

    def exist(self) -> bool:
        """Whether there are users. Raises StateUnavailable."""
        if not self._exist:  # users are never deleted
            with reading(self.engine) as connection:
                self._exist = users.exist(connection)
        return self._exist

    @property
    def https(self) -> bool:
        """Whether browsers connect by HTTPS."""
        return self.base_url.startswith("https://")
