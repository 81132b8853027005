"""The Flask application of a worker: everything except the ingest app."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask
from sqlalchemy import Engine

from monitor.analysis.history import History
from monitor.bootstrap.alerting import frame, notice_config
from monitor.bootstrap.channels import own_channels
from monitor.bootstrap.stores import open_store, open_vault
from monitor.channels.webpush import contact
from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.counts import SharedCounts
from monitor.model import DAY, SECOND
from monitor.services.browsers import BrowserService
from monitor.services.channels import ChannelService
from monitor.settings import Settings, milliseconds
from monitor.web import metrics
from monitor.web.admin import pages as admin
from monitor.web.api import (
    channels,
    history,
    incidents,
    ledger,
    maintenance,
    routes,
    silences,
    webpush,
)
from monitor.web.app import create_app
from monitor.web.auth.people import People
from monitor.web.auth.provider import Provider
from monitor.web.grid.fleet import Fleet
from monitor.web.incidents import acknowledge
from monitor.web.incidents import pages as incident_pages
from monitor.web.judging import Judging
from monitor.web.readiness import Readiness

_PAGE_PATIENCE = 5 * SECOND
"""The maximum time (ms) of a page's query to the store."""

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def build_pages(
    settings: Settings, engine: Engine, clock: Clock, ignored_fields: SharedCounts
) -> Flask:
    """Builds the application with all pages and the API."""
    threshold = milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    past = History(
        open_store(settings, patience=_PAGE_PATIENCE), engine, clock, threshold, retention
    )
    judging = Judging(clock, notice_config(settings).behind_after)
    shipper_status = settings.data_directory / status.FILE
    return create_app(
        lambda: Fleet(open_store(settings), engine, clock, threshold, retention),
        Readiness(shipper_status, engine, clock, judging),
        base_url=settings.server.base_url,
        trusted_hosts=trusted_hosts(settings),
        engine=engine,
        past=past,
        zone=ZoneInfo(settings.alerts.time_zone),
        blueprints=[
            *_blueprints(settings, engine, clock, past),
            metrics.blueprint(engine, clock, shipper_status, judging, ignored_fields),
        ],
        people=_people(settings, engine, clock),
    )


def trusted_hosts(settings: Settings) -> Sequence[str]:
    """The accepted Host headers; empty for all."""
    return settings.server.hosts or (_LOOPBACK_NAMES if settings.server.on_loopback else ())


def _people(settings: Settings, engine: Engine, clock: Clock) -> People:
    server, oidc = settings.server, settings.oidc
    groups = {
        "administrator": oidc.administrators,
        "operator": oidc.operators,
        "viewer": oidc.viewers,
    }
    return People(
        engine,
        open_vault(settings),
        clock,
        server.base_url,
        server.local,
        server.proxies,
        Provider(oidc.issuer, oidc.client_id, oidc.client_secret, oidc.claim, groups, oidc.domain)
        if oidc.issuer
        else None,
    )


def _blueprints(settings: Settings, engine: Engine, clock: Clock, past: History) -> list[Blueprint]:
    vault, own = open_vault(settings), {each.name: each for each in own_channels(settings)}
    framing = frame(settings)
    channel_service = ChannelService(
        engine, vault, clock, own, framing, settings.alerts.allow_internal
    )
    return [
        acknowledge.blueprint(engine, clock, vault),
        incident_pages.blueprint(engine, clock),
        *admin.blueprints(channel_service),
        history.blueprint(past, clock),
        incidents.blueprint(engine, clock),
        ledger.blueprint(engine, clock),
        silences.blueprint(engine, clock),
        maintenance.blueprint(engine, clock),
        channels.blueprint(channel_service),
        routes.blueprint(engine, own.keys()),
        webpush.blueprint(
            BrowserService(
                engine,
                vault,
                contact(settings.server.base_url, settings.email.sender),
                settings.alerts.allow_internal,
            ),
            clock,
        ),
    ]
