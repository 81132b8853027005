"""A notifier for tests: the channels given, moments in UTC, nothing held back."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Engine

from monitor.channels.interface import Channel
from monitor.clock import Clock
from monitor.outbox.delivery import Delivery, Manner
from monitor.outbox.message import Frame
from monitor.outbox.outlets import Served

FRAME = Frame("https://monitor.example.org", UTC)


def delivery(engine: Engine, channels: Sequence[Channel | Served], **manner: Any) -> Delivery:
    """Delivers over these channels; further arguments are those of Manner."""
    served = [each if isinstance(each, Served) else Served(each) for each in channels]
    return Delivery(engine, lambda: served, Clock(), Manner(FRAME, **manner))
