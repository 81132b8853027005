"""A notifier for tests: the channels given, moments in UTC, nothing held back."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Engine

from monitor.channels.interface import Channel
from monitor.clock import Clock
from monitor.incidents.telling import Telling
from monitor.model import HOUR, SECOND
from monitor.outbox.delivery import Delivery, Manner
from monitor.outbox.message import Frame
from monitor.outbox.outlets import Served
from monitor.staleness.notices import Manners
from monitor.staleness.watch import Watch

FRAME = Frame("https://monitor.example.org", UTC)


def watch(*channels: str) -> Watch:
    """The sweep's watch over monitoring itself, as it is by default."""
    return Watch(Telling(channels, FRAME), Manners(15 * SECOND, 4 * HOUR))


def delivery(engine: Engine, channels: Sequence[Channel | Served], **manner: Any) -> Delivery:
    """Delivers over these channels; further arguments are those of Manner."""
    served = [each if isinstance(each, Served) else Served(each) for each in channels]
    return Delivery(engine, lambda: served, Clock(), Manner(FRAME, **manner))
