"""Messages about sensors that go down and recover, composed as the outbox does."""

from datetime import UTC
from typing import Any

from monitor.channels.interface import Message
from monitor.model import MINUTE, SECOND, Member, MessageContext, parse_time
from monitor.outbox.channel_workers import message_of
from monitor.outbox.message import Frame, compose

NOW = parse_time("2026-11-23T14:14:00Z")
FRAME = Frame("https://monitor.example.org", UTC)


def sensor(mac: int, site: str | None = "Harbour", **values: Any) -> Member:
    """A sensor last seen 11 minutes before NOW, with a threshold of 10."""
    given: dict[str, Any] = {
        "mac": mac,
        "name": f"Sensor {mac}",
        "site": site,
        "last_seen": NOW - 11 * MINUTE,
        "threshold": 10 * MINUTE,
        "proven": True,
        "opened_at": NOW - 55 * SECOND,
        "recovered_at": None,
    }
    return Member(**given | values)


def message_about(
    kind: str, *members: Member, time: int = NOW, acknowledge: str | None = None
) -> Message:
    """The composed message of one kind about these sensors."""
    context = MessageContext(
        notification=1,
        channel="test",
        kind=kind,
        time=time,
        thread="thread-1",
        escalated=False,
        members=list(members),
        silent=len(members),
        fleet_wide=False,
        site=members[0].site,
        neighbours=len(members),
        neighbours_silent=len(members),
    )
    return message_of(f"key-{kind}", compose(context, FRAME, acknowledge))
