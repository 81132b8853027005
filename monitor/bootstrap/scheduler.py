"""The scheduler process."""

import os
import secrets
import socket

from sqlalchemy import Engine

from monitor import scheduler
from monitor.bootstrap.alerting import flapping, self_monitoring
from monitor.bootstrap.channels import channel_names
from monitor.bootstrap.stores import open_store
from monitor.channels.interface import TRACKS_SENSORS
from monitor.clock import Clock
from monitor.incidents.service import Alerting
from monitor.incidents.sites import Sites
from monitor.model import DAY
from monitor.settings import Settings, milliseconds
from monitor.staleness.sweep import Options, Sweep
from monitor.state.database import open_state
from monitor.state.retention import RetentionConfig
from monitor.watchdog import Watchdog


def run(settings: Settings) -> None:
    """Sweeps until SIGTERM or SIGINT."""
    engine = open_state(settings.state_url)
    interval = milliseconds(settings.staleness.sweep_interval)
    options = Options(
        threshold=milliseconds(settings.staleness.threshold),
        source_lost_after=milliseconds(settings.staleness.source_lost_after),
        retention=settings.store.retention_days * DAY,
        sites=Sites(settings.alerts.sites),
    )
    sweep = Sweep(
        open_store(settings), engine, options, alerting(settings), self_monitoring(settings)
    )
    holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
    retention = RetentionConfig(
        # A sensor's page shows incidents as long as heartbeats are kept.
        max(settings.retention.incidents_days, settings.store.retention_days) * DAY,
        settings.retention.audit_days * DAY,
    )
    leadership = scheduler.Leadership(
        engine, sweep, Clock(), holder, interval, _watchdog(settings, engine), retention
    )
    scheduler.run(leadership, interval)


def alerting(settings: Settings) -> Alerting:
    """The configuration of messages about incidents."""
    return Alerting(
        channels=channel_names(settings),
        group_wait=milliseconds(settings.alerts.group_wait),
        group_interval=milliseconds(settings.alerts.group_interval),
        flapping=flapping(settings),
        tracking_kinds=TRACKS_SENSORS,
    )


def _watchdog(settings: Settings, engine: Engine) -> Watchdog | None:
    watchdog = settings.watchdog
    return Watchdog(engine, watchdog.url, watchdog.allow_internal) if watchdog.url else None
