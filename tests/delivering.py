"""A notifier for tests with the given channels, UTC times, and no holds."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Engine

from monitor.channels.interface import Channel
from monitor.clock import Clock
from monitor.incidents.self_notices import SelfNotices
from monitor.model import HOUR, SECOND
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery, DeliveryConfig
from monitor.outbox.message import Frame
from monitor.staleness.notices import NoticeConfig
from monitor.staleness.self_monitoring import SelfMonitoring

FRAME = Frame("https://monitor.example.org", UTC)


def watch(*channels: str) -> SelfMonitoring:
    """Self-monitoring with default settings."""
    return SelfMonitoring(SelfNotices(channels, FRAME), NoticeConfig(15 * SECOND, 4 * HOUR))


def delivery(
    engine: Engine, channels: Sequence[Channel | ActiveChannel], **config: Any
) -> Delivery:
    """A Delivery over these channels; further arguments are those of DeliveryConfig."""
    served = [each if isinstance(each, ActiveChannel) else ActiveChannel(each) for each in channels]
    return Delivery(engine, lambda: served, Clock(), DeliveryConfig(FRAME, **config))
