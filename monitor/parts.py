"""What the processes are made of, picked by the settings: store, vault, channels, alerting."""

import os
from collections.abc import Collection
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine

from monitor import keyfile
from monitor.channels import kinds
from monitor.channels.email import Email
from monitor.channels.interface import Channel
from monitor.channels.webhook import Webhook
from monitor.incidents.flapping import FlappingRule
from monitor.incidents.hold_policy import holding
from monitor.incidents.self_notices import SelfNotices
from monitor.incidents.service import Alerting
from monitor.model import DAY, SECOND
from monitor.outbox.channel_source import StoredChannels
from monitor.outbox.delivery import DeliveryConfig
from monitor.outbox.message import Frame
from monitor.settings import Settings
from monitor.staleness.notices import NoticeConfig
from monitor.staleness.self_monitoring import SelfMonitoring
from monitor.state import routing
from monitor.store.influxdb import InfluxStore
from monitor.store.interface import Store
from monitor.store.sqlite import SqliteStore
from monitor.vault import Vault
from monitor.web.incidents.acknowledge import links


def milliseconds(seconds: float) -> int:
    """Of a setting, which is in seconds."""
    return round(seconds * SECOND)


def open_store(settings: Settings, writable: bool = False, patience: int | None = None) -> Store:
    """InfluxDB when its variables are set, else the embedded file; `writable` in the one process
    that ships; `patience`: how long a question to a server may take at most (ms)."""
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
        patience,
    )


def open_vault(settings: Settings) -> Vault:
    """By the secret key of the settings; without one, by a key kept in the data directory.

    Raises SettingsError when that key can't be used.
    """
    return Vault(settings.server.secret_key or keyfile.read_or_make(_key_path(settings)))


def check_key(settings: Settings) -> None:
    """Raises SettingsError when the data directory's key is needed and can't be used."""
    path = _key_path(settings)
    # Chores that need no key may be done by users who can't read it.
    if not settings.server.secret_key and os.access(path, os.R_OK):
        keyfile.read(path)


def _key_path(settings: Settings) -> Path:
    return settings.data_directory / "secret-key"


def frame(settings: Settings) -> Frame:
    """How messages are framed."""
    return Frame(settings.server.base_url.rstrip("/"), ZoneInfo(settings.alerts.time_zone))


def alerting(settings: Settings) -> Alerting:
    """How incidents cause messages."""
    return Alerting(
        channels=tuple(channel.name for channel in own_channels(settings)),
        group_wait=milliseconds(settings.alerts.group_wait),
        group_interval=milliseconds(settings.alerts.group_interval),
        flapping=_flapping(settings),
        tracking_kinds=frozenset(name for name, kind in kinds.KINDS.items() if kind.tracks),
    )


def watch(settings: Settings) -> SelfMonitoring:
    """What tells people that monitoring itself was blind, or that judging is behind."""
    channels = tuple(channel.name for channel in own_channels(settings))
    return SelfMonitoring(SelfNotices(channels, frame(settings)), manners(settings))


def manners(settings: Settings) -> NoticeConfig:
    """When people are told of that."""
    return NoticeConfig(
        milliseconds(settings.alerts.blind_notice_after),
        milliseconds(settings.alerts.repeat_interval),
        milliseconds(settings.staleness.sweep_interval),
    )


def _flapping(settings: Settings) -> FlappingRule:
    window = milliseconds(settings.alerts.flapping_window)
    return FlappingRule(settings.alerts.flapping_outages, window)


def email_channel(settings: Settings) -> list[Channel]:
    """The one of the settings, if they switch it on. Raises ValueError."""
    mail = settings.email
    if not mail.server:
        return []
    return [
        Email(
            mail.server,
            mail.port,
            mail.security,
            mail.username,
            mail.password,
            mail.sender,
            mail.recipients,
        )
    ]


def webhook_channel(settings: Settings) -> list[Channel]:
    """As `email_channel`."""
    hook = settings.webhook
    return [Webhook(hook.url, hook.allow_internal, hook.secret)] if hook.url else []


def own_channels(settings: Settings) -> list[Channel]:
    """Those that the settings themselves switch on. Raises ValueError."""
    return email_channel(settings) + webhook_channel(settings)


def supply(settings: Settings, engine: Engine, vault: Vault) -> StoredChannels:
    """The channels in force."""
    own = own_channels(settings)
    return StoredChannels(engine, vault, own, settings.alerts.allow_internal)


def manner(settings: Settings, vault: Vault) -> DeliveryConfig:
    """How the notifier writes and holds messages."""
    own = tuple(channel.name for channel in own_channels(settings))

    def recipients(connection: Connection) -> Collection[str]:
        return routing.default_channels(connection, own)

    return DeliveryConfig(
        frame=frame(settings),
        hold=holding(_flapping(settings)),
        remind_after=milliseconds(settings.alerts.repeat_interval),
        acknowledge_link=links(vault, settings.server.base_url),
        recipients=recipients,
        look_out=watch(settings).look_out,
    )
