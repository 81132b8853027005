"""The notifier process, and factories for commands that send a message."""

import signal
from collections.abc import Collection

from sqlalchemy import Connection, Engine

from monitor.bootstrap.alerting import flapping, frame, self_monitoring
from monitor.bootstrap.channels import channel_names, own_channels
from monitor.bootstrap.vaults import open_vault
from monitor.clock import Clock
from monitor.incidents.hold_policy import holding
from monitor.outbox.acknowledge_link import links
from monitor.outbox.channel_source import StoredChannelSource
from monitor.outbox.delivery import Delivery, DeliveryConfig
from monitor.settings import Settings, milliseconds
from monitor.state import routing
from monitor.state.database import open_state
from monitor.vault import Vault


def run(settings: Settings) -> None:
    """Sends messages until SIGTERM or SIGINT."""
    # Not an Event: a second signal could interrupt the handler that holds its lock, and deadlock.
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    engine, vault = open_state(settings.state_url), open_vault(settings)
    source = channel_source(settings, engine, vault)
    Delivery(engine, source, Clock(), delivery_config(settings, vault)).run(lambda: signals)


def channel_source(settings: Settings, engine: Engine, vault: Vault) -> StoredChannelSource:
    """All channels that can send messages."""
    own = own_channels(settings)
    return StoredChannelSource(engine, vault, own, settings.alerts.allow_internal)


def delivery_config(settings: Settings, vault: Vault) -> DeliveryConfig:
    """The notifier's configuration."""
    own = channel_names(settings)

    def recipients(connection: Connection) -> Collection[str]:
        return routing.default_channels(connection, own)

    return DeliveryConfig(
        frame=frame(settings),
        hold=holding(flapping(settings)),
        remind_after=milliseconds(settings.alerts.repeat_interval),
        acknowledge_link=links(vault, settings.server.base_url),
        recipients=recipients,
        check_sweeps=self_monitoring(settings).check_sweeps,
    )
