"""The web process: gunicorn, the applications of each worker, and the shipper beside them."""

import ipaddress
import signal
from asyncio import get_running_loop
from collections.abc import Sequence
from pathlib import Path

from monitor.bootstrap.memory import collect_seldom
from monitor.bootstrap.pages import build_pages, trusted_hosts
from monitor.bootstrap.stores import load_store
from monitor.child import Child
from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.app import PATHS, IngestApp, IngestLimits
from monitor.ingest.counts import ServerCounts, new_counts
from monitor.ingest.group_commit import GroupCommit
from monitor.ingest.refused import RefusedHeartbeats, saver
from monitor.ingest.registry import Registry, from_state
from monitor.ingest.wal.writer import WalWriter
from monitor.model import DAY
from monitor.refusal import UNAVAILABLE
from monitor.server.forwarded import LOOPBACK, FromProxies
from monitor.server.gunicorn_server import Applications, GunicornServer, ServerConfig
from monitor.server.wsgi import Application
from monitor.settings import Settings, SettingsError, milliseconds
from monitor.state.database import open_state
from monitor.web import turnstile
from monitor.web.app import BODY_LIMIT


def run(settings: Settings, common: Sequence[str]) -> None:
    """Runs gunicorn with the ingest app and the pages until a signal. Raises OSError if the address
    is in use, SettingsError.

    `common`: arguments of `monitor` before the command, for the shipper.
    """
    given = settings.server
    counts = new_counts()
    config = ServerConfig(
        host=given.host,
        port=given.port,
        bind=given.listens_on,
        workers=given.workers,
        threads=given.threads,
        connections=given.connections,
        access_log=given.access_log,
        certificate=_path(given.certificate),
        key=_path(given.key),
    )
    server = GunicornServer(
        config,
        lambda: _applications(settings, counts),
        Child("shipper", [*common, "shipper"], blocked=[signal.SIGTERM]),
    )
    if given.on_loopback:
        # Without users, anyone who can connect can see and change everything.
        for address in server.addresses_from_systemd():
            if not ipaddress.ip_address(address).is_loopback:
                raise SettingsError(
                    [f"server.host: systemd listens on {address}; set server.host to {address} too"]
                )
    load_store(settings)
    server.run()


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _applications(settings: Settings, counts: ServerCounts) -> Applications:
    """Builds one worker's ingest app, WAL writer and pages. Called after the fork, on the event
    loop."""
    clock, engine = Clock(), open_state(settings.state_url)
    directory, ingest = settings.data_directory, settings.ingest
    threshold = milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    wal = WalWriter(
        directory / "spool",
        clock,
        ingest.spool_limit,
        status.ClockCheck(directory / status.FILE, clock),
    )
    registry = Registry(from_state(engine, retention), threshold, ingest.token, ingest.max_sensors)
    registry.start()
    refused = RefusedHeartbeats(
        counts.refused_heartbeats, registry.is_registered, saver(engine, clock), clock
    )
    refused.start()
    commit = GroupCommit(
        get_running_loop(),
        wal if ingest.fsync == "always" else None,
        lambda number: refused.add(UNAVAILABLE, number, None),
    )
    server = settings.server
    pages: Application = build_pages(settings, engine, clock, counts)
    if server.proxies:
        pages = FromProxies(pages, server.proxy_networks or LOOPBACK)
    collect_seldom()
    app = IngestApp(
        wal,
        commit,
        registry,
        IngestLimits(retention, ingest.body_limit, ingest.batch_rows, ingest.rate_per_sensor),
        clock,
        trusted_hosts(settings),
        counts.ignored_fields,
        refused,
    )

    def stop_ingest() -> None:
        app.close()
        commit.close()
        wal.close()

    def close() -> None:
        stop_ingest()
        refused.close()
        registry.close()

    return Applications(
        handlers=dict.fromkeys(PATHS, app),
        pages=turnstile.Turnstile(pages, max(server.threads - turnstile.KEPT_FREE, 1)),
        pages_body_limit=BODY_LIMIT,
        stop_handlers=stop_ingest,
        close=close,
    )
