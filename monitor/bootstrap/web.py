"""The web process: gunicorn, and the applications of each worker."""

import gc

from monitor.bootstrap.pages import build_pages, trusted_hosts
from monitor.bootstrap.stores import open_store
from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.app import IngestApp, IngestLimits
from monitor.ingest.counts import SharedCounts
from monitor.ingest.fields import DETAILS
from monitor.ingest.registry import Registry, from_state, metric_name_saver
from monitor.ingest.shipper import Shipper
from monitor.ingest.wal.writer import WalWriter
from monitor.model import DAY
from monitor.settings import Settings, milliseconds
from monitor.state.database import open_state
from monitor.web import turnstile
from monitor.wsgi import GunicornServer, WebProcess


def run(settings: Settings) -> None:
    """Runs gunicorn with the ingest app and the pages until a signal. Raises OSError if the address
    is in use."""
    server = settings.server
    GunicornServer.check_free(server.host, server.port)
    host = f"[{server.host}]" if ":" in server.host else server.host
    ignored_fields = SharedCounts(list(DETAILS))
    GunicornServer(
        lambda: _web_process(settings, ignored_fields),
        f"{host}:{server.port}",
        server.workers,
        server.threads,
    ).run()


def _web_process(settings: Settings, ignored_fields: SharedCounts) -> WebProcess:
    """Builds one worker's ingest app, WAL writer, shipper and pages. Called after the fork."""
    clock, engine = Clock(), open_state(settings.state_url)
    directory, ingest = settings.data_directory, settings.ingest
    threshold = milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    hosts = trusted_hosts(settings)
    wal = WalWriter(
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
        metric_name_saver(engine, retention),
    )
    shipper.start()
    pages = build_pages(settings, engine, clock, ignored_fields)
    # A worker allocates tens of thousands of rows without reference cycles. With the default
    # thresholds, garbage collection takes more time than creating them.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    limits = IngestLimits(retention, ingest.body_limit, ingest.batch_rows, ingest.rate_per_sensor)

    def close() -> None:
        wal.close()
        shipper.close()
        registry.close()

    limited = turnstile.Turnstile(pages, max(settings.server.threads - turnstile.KEPT_FREE, 1))
    app = IngestApp(wal, registry, limits, clock, hosts, limited, ignored_fields)
    return WebProcess(app, close)
