"""Notices about monitoring itself, to the default channels."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from monitor.outbox import notifications
from monitor.outbox.message import Frame, compose_notice
from monitor.state import routing


@dataclass(frozen=True, slots=True)
class SelfNotices:
    """`channels`: those that the settings enable."""

    channels: tuple[str, ...]
    frame: Frame

    def enqueue(
        self, connection: Connection, key: str, subject: str, sentences: Sequence[str], now: int
    ) -> None:
        """Enqueues a notice to each default channel, at most once for each `key`."""
        body = compose_notice(subject, sentences, now, f"heartbeat-monitor-{key}", self.frame)
        recipients = routing.default_channels(connection, self.channels)
        notifications.enqueue_notice(connection, key, recipients, body, now)
