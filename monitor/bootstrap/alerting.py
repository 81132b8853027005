"""Configuration of messages and notices that scheduler and notifier share."""

from zoneinfo import ZoneInfo

from monitor.bootstrap.channels import channel_names
from monitor.incidents.flapping import FlappingRule
from monitor.incidents.self_notices import SelfNotices
from monitor.outbox.message import Frame
from monitor.settings import Settings, milliseconds
from monitor.staleness.notices import NoticeConfig
from monitor.staleness.self_monitoring import SelfMonitoring


def frame(settings: Settings) -> Frame:
    """The base URL and time zone of messages."""
    return Frame(settings.server.base_url.rstrip("/"), ZoneInfo(settings.alerts.time_zone))


def flapping(settings: Settings) -> FlappingRule:
    """The rule for when a sensor is flapping."""
    window = milliseconds(settings.alerts.flapping_window)
    return FlappingRule(settings.alerts.flapping_outages, window)


def self_monitoring(settings: Settings) -> SelfMonitoring:
    """Enqueues notices that monitoring was blind or is behind."""
    notices = SelfNotices(channel_names(settings), frame(settings))
    return SelfMonitoring(notices, notice_config(settings))


def notice_config(settings: Settings) -> NoticeConfig:
    """When such notices are due."""
    return NoticeConfig(
        milliseconds(settings.alerts.blind_notice_after),
        milliseconds(settings.alerts.repeat_interval),
        milliseconds(settings.staleness.sweep_interval),
    )
