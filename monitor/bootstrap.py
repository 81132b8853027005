"""Wires the rooms together: each process of the service from its settings."""

import gc
import logging
import os
import secrets
import signal
import socket
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from monitor import parts, scheduler, supervisor, wsgi
from monitor.analysis.history import History
from monitor.channels.webpush import contact
from monitor.clock import Clock
from monitor.incidents.sites import Sites
from monitor.ingest import status
from monitor.ingest.app import IngestApp, IngestLimits
from monitor.ingest.counts import SharedCounts
from monitor.ingest.fields import DETAILS
from monitor.ingest.registry import Registry, from_state, noting_metrics
from monitor.ingest.shipper import Shipper
from monitor.ingest.wal.writer import WalWriter
from monitor.model import DAY, SECOND
from monitor.outbox import delivery
from monitor.parts import milliseconds, open_store, open_vault
from monitor.settings import Settings, SettingsError
from monitor.staleness.sweep import Options, Sweep
from monitor.state import database, tokens
from monitor.state.database import open_state, reading
from monitor.state.retention import RetentionConfig
from monitor.watchdog import Watchdog
from monitor.web import metrics, turnstile
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
from monitor.web.channels import ChannelService
from monitor.web.grid.fleet import Fleet
from monitor.web.incidents import acknowledge
from monitor.web.incidents import pages as incident_pages
from monitor.web.judging import Judging
from monitor.web.readiness import Readiness

logger = logging.getLogger(__name__)

_PAGE_PATIENCE = 5 * SECOND
"""How long a question of a page to the store may take: a thread waits for it, and a person."""

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def check(settings: Settings) -> None:
    """What only the parts themselves can tell of the settings. Raises SettingsError."""
    problems = []
    checks = (
        ("state.url", _open_state),
        ("email", parts.email_channel),
        ("webhook", parts.webhook_channel),
    )
    for section, make in checks:
        try:
            make(settings)
        except (ArgumentError, ValueError, OSError) as error:
            problems.append(f"{section}: {error}")
        except ModuleNotFoundError as error:
            problems.append(
                f"{section}: {error.name} is missing; pip install 'heartbeat-monitor[postgresql]'"
            )
    try:
        parts.check_key(settings)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(problems)


def _open_state(settings: Settings) -> Engine:
    return open_state(settings.state_url)


def migrate(settings: Settings) -> None:
    """Bring state and store up to date; harmless to repeat."""
    database.migrate(open_state(settings.state_url))
    store = open_store(settings, writable=True)
    store.migrate()
    store.close()


def run_scheduler(settings: Settings) -> None:
    """The scheduler process, until it is told to stop."""
    engine, interval = (
        open_state(settings.state_url),
        milliseconds(settings.staleness.sweep_interval),
    )
    options = Options(
        threshold=milliseconds(settings.staleness.threshold),
        source_lost_after=milliseconds(settings.staleness.source_lost_after),
        retention=settings.store.retention_days * DAY,
        sites=Sites(settings.alerts.sites),
    )
    sweep = Sweep(
        open_store(settings), engine, options, parts.alerting(settings), parts.watch(settings)
    )
    holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
    kept = RetentionConfig(
        # The page of a sensor shows incidents for as long as heartbeats are kept.
        max(settings.retention.incidents_days, settings.store.retention_days) * DAY,
        settings.retention.audit_days * DAY,
    )
    leadership = scheduler.Leadership(
        engine, sweep, Clock(), holder, interval, _watchdog(settings, engine), kept
    )
    scheduler.run(leadership, interval)


def _watchdog(settings: Settings, engine: Engine) -> Watchdog | None:
    watchdog = settings.watchdog
    return Watchdog(engine, watchdog.url, watchdog.allow_internal) if watchdog.url else None


def run_notifier(settings: Settings) -> None:
    """The notifier process, until it is told to stop."""
    # Not an Event: a second signal would wait for its lock, held by the handler it interrupts.
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    engine, vault = open_state(settings.state_url), open_vault(settings)
    supply = parts.supply(settings, engine, vault)
    delivery.Delivery(engine, supply, Clock(), parts.manner(settings, vault)).run(lambda: signals)


def run_web(settings: Settings) -> None:
    """gunicorn with the door and the pages, until it is told to stop. Raises OSError when the
    address is taken."""
    server = settings.server
    wsgi.GunicornServer.check_free(server.host, server.port)
    host = f"[{server.host}]" if ":" in server.host else server.host
    ignored_fields = SharedCounts(list(DETAILS))
    wsgi.GunicornServer(
        lambda: _web_process(settings, ignored_fields),
        f"{host}:{server.port}",
        server.workers,
        server.threads,
    ).run()


def _web_process(settings: Settings, ignored_fields: SharedCounts) -> wsgi.WebProcess:
    """One worker's door, spool, shipper and pages; called after the fork."""
    clock, engine = Clock(), open_state(settings.state_url)
    directory, ingest = settings.data_directory, settings.ingest
    threshold = milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    hosts = _hosts(settings)
    spool = WalWriter(
        directory / "spool",
        clock,
        ingest.spool_limit,
        ingest.fsync == "always",
        status.ClockCheck(directory / status.FILE, clock),
    )
    registry = Registry(from_state(engine, retention), threshold, ingest.token, ingest.max_sensors)
    registry.start()
    shipper = Shipper(
        directory,
        clock,
        lambda: open_store(settings, writable=True),
        noting_metrics(engine, retention),
    )
    shipper.start()
    pages = build_pages(settings, engine, clock, ignored_fields)
    # What a worker allocates by the ten thousand is plain rows without cycles: searching them for
    # garbage as often as usual takes more time than making them.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    limits = IngestLimits(retention, ingest.body_limit, ingest.batch_rows, ingest.rate_per_sensor)

    def close() -> None:
        spool.close()
        shipper.close()
        registry.close()

    through = turnstile.Turnstile(pages, max(settings.server.threads - turnstile.KEPT_FREE, 1))
    door = IngestApp(spool, registry, limits, clock, hosts, through, ignored_fields)
    return wsgi.WebProcess(door, close)


def build_pages(
    settings: Settings, engine: Engine, clock: Clock, ignored_fields: SharedCounts
) -> Flask:
    """All that a worker serves but the door."""
    threshold = milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    past = History(
        open_store(settings, patience=_PAGE_PATIENCE), engine, clock, threshold, retention
    )
    judging = Judging(clock, parts.manners(settings).behind_after)
    shipper_status = settings.data_directory / status.FILE
    return create_app(
        lambda: Fleet(open_store(settings), engine, clock, threshold, retention),
        Readiness(shipper_status, engine, clock, judging),
        base_url=settings.server.base_url,
        trusted_hosts=_hosts(settings),
        engine=engine,
        past=past,
        zone=ZoneInfo(settings.alerts.time_zone),
        blueprints=[
            *_blueprints(settings, engine, clock, past),
            metrics.blueprint(engine, clock, shipper_status, judging, ignored_fields),
        ],
        people=_people(settings, engine, clock),
    )


def _hosts(settings: Settings) -> Sequence[str]:
    """The names by which this service may be called; none: by any."""
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
    vault, own = open_vault(settings), {each.name: each for each in parts.own_channels(settings)}
    frame = parts.frame(settings)
    keeping = ChannelService(engine, vault, clock, own, frame, settings.alerts.allow_internal)
    return [
        acknowledge.blueprint(engine, clock, vault),
        incident_pages.blueprint(engine, clock, frame.zone),
        *admin.blueprints(keeping),
        history.blueprint(past, clock),
        incidents.blueprint(engine, clock),
        ledger.blueprint(engine, clock),
        silences.blueprint(engine, clock),
        maintenance.blueprint(engine, clock),
        channels.blueprint(keeping),
        routes.blueprint(engine, own.keys()),
        webpush.blueprint(
            engine,
            vault,
            clock,
            contact(settings.server.base_url, settings.email.sender),
            settings.alerts.allow_internal,
        ),
    ]


def supervise(commands: list[list[str]]) -> None:
    """Run these `monitor` commands until told to stop, restarting those that die."""
    supervisor.Supervisor(commands).run()


def has_ingest_token(settings: Settings) -> bool:
    """Sensors need a token. Raises StateUnavailable."""
    if settings.ingest.token:
        return True
    with reading(open_state(settings.state_url)) as connection:
        return bool(tokens.active(connection)[1])
