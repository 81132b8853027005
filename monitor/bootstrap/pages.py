"""The Flask application of a worker: everything except the ingest app."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import Engine

from monitor.analysis.history import History
from monitor.bootstrap.alerting import frame, notice_config
from monitor.bootstrap.channels import own_channels
from monitor.bootstrap.stores import open_store
from monitor.bootstrap.vaults import open_vault
from monitor.channels.webpush import contact
from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.counts import ServerCounts
from monitor.model import DAY, SECOND
from monitor.services.browsers import BrowserService
from monitor.services.channels import ChannelService
from monitor.services.covered import Covered
from monitor.services.users import UsersExist
from monitor.settings import Settings, milliseconds
from monitor.web import metrics
from monitor.web.app import create_app
from monitor.web.auth.provider import Provider
from monitor.web.context import Context, LazyFleet
from monitor.web.grid.fleet import Fleet
from monitor.web.judging import Judging
from monitor.web.public.caches import PublicCaches
from monitor.web.readiness import Readiness

_PAGE_PATIENCE = 5 * SECOND
"""The maximum time (ms) of a page's query to the store."""

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def build_pages(settings: Settings, engine: Engine, clock: Clock, counts: ServerCounts) -> Flask:
    """Builds the application with all pages and the API."""
    vault, framing = open_vault(settings), frame(settings)
    threshold = milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    past = History(
        open_store(settings, patience=_PAGE_PATIENCE), engine, clock, threshold, retention
    )
    judging = Judging(clock, notice_config(settings).behind_after)
    shipper_status = settings.data_directory / status.FILE
    fleet = LazyFleet(lambda: Fleet(open_store(settings), engine, clock, threshold, retention))
    context = Context(
        engine=engine,
        clock=clock,
        vault=vault,
        base_url=settings.server.base_url,
        zone=framing.zone,
        local=settings.server.local,
        proxies=settings.server.proxies,
        provider=_provider(settings),
        users_exist=UsersExist(engine),
        fleet=fleet,
        public=PublicCaches(fleet, clock),
        history=past,
        covered=Covered(engine),
        channels=ChannelService(
            engine,
            vault,
            clock,
            {each.name: each for each in own_channels(settings)},
            framing,
            settings.alerts.allow_internal,
        ),
        browsers=BrowserService(
            engine,
            vault,
            contact(settings.server.base_url, settings.email.sender),
            settings.alerts.allow_internal,
        ),
        readiness=Readiness(shipper_status, engine, clock, judging),
        metrics=metrics.registry(engine, clock, shipper_status, judging, counts),
    )
    return create_app(context, trusted_hosts=trusted_hosts(settings))


def trusted_hosts(settings: Settings) -> Sequence[str]:
    """The accepted Host headers; empty for all."""
    server = settings.server
    if not server.hosts and not server.on_loopback:
        return ()
    own = urlsplit(server.base_url).hostname or "localhost"
    return (*server.hosts, own, *(_LOOPBACK_NAMES if server.on_loopback else ()))


def _provider(settings: Settings) -> Provider | None:
    oidc = settings.oidc
    if not oidc.issuer:
        return None
    groups = {
        "administrator": oidc.administrators,
        "operator": oidc.operators,
        "viewer": oidc.viewers,
    }
    return Provider(
        oidc.issuer, oidc.client_id, oidc.client_secret, oidc.claim, groups, oidc.domain
    )
