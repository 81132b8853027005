"""What the views of the application work with: the state, the clock, the services."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from flask import Flask, current_app
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from monitor.analysis.history import History
from monitor.clock import Clock
from monitor.services.browsers import BrowserService
from monitor.services.channels import ChannelService
from monitor.services.covered import Covered
from monitor.services.users import UsersExist
from monitor.vault import Vault
from monitor.web.auth.provider import Provider
from monitor.web.grid.fleet import Fleet
from monitor.web.public.caches import PublicCaches

_EXTENSION = "monitor"


class LazyFleet:
    """Opens the fleet at the first call, in the worker process that makes it."""

    def __init__(self, open_fleet: Callable[[], Fleet]) -> None:
        self._open, self._lock = open_fleet, threading.Lock()
        self._fleet: Fleet | None = None

    def __call__(self) -> Fleet:
        """Raises what `open_fleet` raises."""
        with self._lock:
            if self._fleet is None:
                self._fleet = self._open()
            return self._fleet


@dataclass(frozen=True)
class Context:
    """What the views of one application work with. Threads share it."""

    engine: Engine
    clock: Clock
    vault: Vault
    base_url: str
    """The address of this service in links, as in the settings."""
    zone: tzinfo
    """The time zone in which pages show times."""
    local: bool
    """Only this machine can connect, without a proxy that serves others."""
    proxies: int
    """The number of reverse proxies in front, each of which adds to X-Forwarded-For."""
    provider: Provider | None
    """The OpenID Connect provider with which users can log in."""
    users_exist: UsersExist
    fleet: LazyFleet
    history: History
    covered: Covered
    channels: ChannelService
    browsers: BrowserService
    public: PublicCaches
    readiness: Callable[[], Sequence[str]]
    """Returns the reasons why this host is not ready; none if it is."""
    metrics: CollectorRegistry

    @property
    def https(self) -> bool:
        """Whether browsers connect by HTTPS."""
        return self.base_url.startswith("https://")


def install(app: Flask, context: Context) -> None:
    """Make the context available to the views of the application."""
    app.extensions[_EXTENSION] = context


def of(app: Flask) -> Context:
    """The context of an application."""
    found: Context = app.extensions[_EXTENSION]
    return found


def context() -> Context:
    """The context of the application that answers the current request."""
    return of(current_app)
