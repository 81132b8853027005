"""The only place that picks stores and channels, and wires the rooms together."""

import gc
import logging
import os
import secrets
import signal
import socket
import threading
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

from monitor import scheduler, supervisor, wsgi
from monitor.channels.email import Email
from monitor.channels.interface import Channel, SendFailed
from monitor.channels.webhook import Webhook
from monitor.clock import Clock
from monitor.incidents import flapping
from monitor.incidents.service import Alerting
from monitor.ingest import status
from monitor.ingest.http import Door, Limits
from monitor.ingest.registry import Registry, from_state, noting_metrics
from monitor.ingest.shipper import Shipper
from monitor.ingest.spool import Spool
from monitor.model import DAY, SECOND
from monitor.outbox import delivery
from monitor.outbox.message import Frame
from monitor.outbox.outlets import Served
from monitor.settings import Settings, SettingsError
from monitor.staleness.sweep import Options, Sweep
from monitor.state import database, tokens
from monitor.state.database import open_state, reading
from monitor.store.influxdb import InfluxStore
from monitor.store.interface import Store
from monitor.store.sqlite import SqliteStore
from monitor.web.app import create_app
from monitor.web.fleet import Fleet
from monitor.web.readiness import Readiness

logger = logging.getLogger(__name__)

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def _milliseconds(seconds: float) -> int:
    return round(seconds * SECOND)


def open_store(settings: Settings, writable: bool = False) -> Store:
    """InfluxDB when its variables are set, else the embedded file; `writable` in the one process
    that ships."""
    retention = settings.store.retention_days * DAY
    if settings.influxdb is None:
        return SqliteStore(settings.data_directory / "heartbeats.sqlite", retention, writable)
    return InfluxStore(
        settings.influxdb.url,
        settings.influxdb.org,
        settings.influxdb.token,
        settings.store.heartbeats_bucket,
        settings.store.arrivals_bucket,
        retention,
    )


def check(settings: Settings) -> None:
    """What only the parts themselves can tell of the settings. Raises SettingsError."""
    problems = []
    for section, make in (("state.url", _open_state), ("email", _email), ("webhook", _webhook)):
        try:
            make(settings)
        except (ArgumentError, ValueError, OSError) as error:
            problems.append(f"{section}: {error}")
        except ModuleNotFoundError as error:
            problems.append(
                f"{section}: {error.name} is missing; pip install 'heartbeat-monitor[postgresql]'"
            )
    if problems:
        raise SettingsError(problems)


def _open_state(settings: Settings) -> Engine:
    return open_state(settings.state_url)


def _email(settings: Settings) -> list[Channel]:
    email = settings.email
    if not email.server:
        return []
    return [
        Email(
            email.server,
            email.port,
            email.security,
            email.username,
            email.password,
            email.sender,
            email.recipients,
        )
    ]


def _webhook(settings: Settings) -> list[Channel]:
    webhook = settings.webhook
    return [Webhook(webhook.url, webhook.allow_internal)] if webhook.url else []


def channels(settings: Settings) -> list[Channel]:
    """The channels that are switched on."""
    return _email(settings) + _webhook(settings)


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
        _milliseconds(settings.staleness.sweep_interval),
    )
    sweep = Sweep(
        open_store(settings),
        engine,
        Options(
            threshold=_milliseconds(settings.staleness.threshold),
            source_lost_after=_milliseconds(settings.staleness.source_lost_after),
            retention=settings.store.retention_days * DAY,
        ),
        Alerting(
            channels=tuple(channel.name for channel in channels(settings)),
            group_wait=_milliseconds(settings.alerts.group_wait),
            group_interval=_milliseconds(settings.alerts.group_interval),
            flapping=flapping.Rule(
                settings.alerts.flapping_outages, _milliseconds(settings.alerts.flapping_window)
            ),
        ),
    )
    holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
    scheduler.run(scheduler.Leadership(engine, sweep, Clock(), holder, interval), interval)


def run_notifier(settings: Settings) -> None:
    """The notifier process, until it is told to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    served = [Served(channel) for channel in channels(settings)]
    if not served:
        logger.warning("no channel is switched on: incidents are recorded and nobody is told")
    engine = open_state(settings.state_url)
    manner = delivery.Manner(
        frame=_frame(settings), remind_after=_milliseconds(settings.alerts.repeat_interval)
    )
    delivery.Delivery(engine, lambda: served, Clock(), manner).run(stop)


def _frame(settings: Settings) -> Frame:
    return Frame(settings.server.base_url.rstrip("/"), ZoneInfo(settings.alerts.time_zone))


def run_web(settings: Settings) -> None:
    """gunicorn with the door and the pages, until it is told to stop. Raises OSError when the
    address is taken."""
    server = settings.server
    wsgi.GunicornServer.check_free(server.host, server.port)
    host = f"[{server.host}]" if ":" in server.host else server.host
    wsgi.GunicornServer(
        lambda: _web_process(settings), f"{host}:{server.port}", server.workers, server.threads
    ).run()


def _web_process(settings: Settings) -> wsgi.WebProcess:
    """One worker's door, spool, shipper and pages; called after the fork."""
    clock, engine = Clock(), open_state(settings.state_url)
    directory, server, ingest = settings.data_directory, settings.server, settings.ingest
    threshold = _milliseconds(settings.staleness.threshold)
    retention = settings.store.retention_days * DAY
    hosts = server.hosts or (_LOOPBACK_NAMES if server.on_loopback else ())
    spool = Spool(directory / "spool", clock, ingest.spool_limit, ingest.fsync == "always")
    registry = Registry(from_state(engine), threshold, ingest.token, ingest.max_sensors)
    registry.start()
    shipper = Shipper(
        directory, clock, lambda: open_store(settings, writable=True), noting_metrics(engine)
    )
    shipper.start()
    pages = create_app(
        lambda: Fleet(open_store(settings), engine, clock, threshold, retention),
        Readiness(directory / status.FILE, engine, clock),
        base_url=server.base_url,
        secret_key=server.secret_key,
        trusted_hosts=hosts,
    )
    # What a worker allocates by the ten thousand is plain rows without cycles: searching them for
    # garbage as often as usual takes more time than making them.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    limits = Limits(retention, ingest.body_limit, ingest.batch_rows, ingest.rate_per_sensor)

    def close() -> None:
        spool.close()
        shipper.close()
        registry.close()

    return wsgi.WebProcess(Door(spool, registry, limits, clock, hosts, pages), close)


def supervise(commands: list[list[str]]) -> None:
    """Run these `monitor` commands until told to stop, restarting those that die."""
    supervisor.Supervisor(commands).run()


def has_ingest_token(settings: Settings) -> bool:
    """Sensors need a token. Raises StateUnavailable."""
    if settings.ingest.token:
        return True
    with reading(open_state(settings.state_url)) as connection:
        return bool(tokens.active(connection)[1])


def send_test(settings: Settings, name: str) -> str:
    """Send a test message through a channel; what went wrong, or nothing."""
    chosen = {channel.name: channel for channel in channels(settings)}
    if name not in chosen:
        return f"the channel {name} is not switched on; see [{name}] in the settings"
    try:
        delivery.send_test(chosen[name], Clock().now(), _frame(settings))
    except SendFailed as failure:
        return failure.detail
    return ""
