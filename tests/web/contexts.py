"""The context of an application under test."""

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from monitor.analysis.history import History
from monitor.clock import Clock
from monitor.model import DAY, MINUTE
from monitor.services.browsers import BrowserService
from monitor.services.channels import ChannelService
from monitor.services.covered import Covered
from monitor.services.users import UsersExist
from monitor.store.sqlite import SqliteStore
from monitor.vault import Vault
from monitor.web.context import Context, LazyFleet
from monitor.web.grid.fleet import Fleet
from monitor.web.public.caches import PublicCaches
from tests.delivering import FRAME

BASE = "http://localhost"
THRESHOLD = 10 * MINUTE
RETENTION = 90 * DAY
VAULT = Vault("a secret key of some length, all for tests")

_NO_STORE = SqliteStore(Path("/nonexistent/heartbeats.sqlite"), RETENTION)


def build_context(
    engine: Engine,
    clock: Clock | None = None,
    *,
    vault: Vault = VAULT,
    base_url: str = BASE,
    zone: tzinfo = UTC,
    fleet: Callable[[], Fleet] | None = None,
    local: bool = False,
    own_channels: Mapping[str, Any] = MappingProxyType({}),
    allow_internal: bool = True,
    contact: str = "mailto:ops@example.org",
    **others: Any,
) -> Context:
    """Without a store, unless `fleet` (a function that opens it) and `history` are given.

    Requests need a login, unless `local`. `own_channels` are those of the settings. `others` are
    further fields of Context.
    """
    clock = clock or Clock()
    given = {
        "proxies": 0,
        "provider": None,
        "history": History(_NO_STORE, engine, clock, THRESHOLD, RETENTION),
        "covered": Covered(engine),
        "channels": ChannelService(engine, vault, clock, own_channels, FRAME, allow_internal),
        "browsers": BrowserService(engine, vault, contact, allow_internal),
        "readiness": list,
        "metrics": CollectorRegistry(),
        **others,
    }
    opened = LazyFleet(fleet or (lambda: Fleet(_NO_STORE, engine, clock, THRESHOLD, RETENTION)))
    return Context(
        engine=engine,
        clock=clock,
        vault=vault,
        base_url=base_url,
        zone=zone,
        local=local,
        users_exist=UsersExist(engine),
        fleet=opened,
        public=PublicCaches(opened, clock),
        **given,
    )
