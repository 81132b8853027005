"""The JSON of `GET /sensors`."""

from collections.abc import Mapping, Sequence

import msgspec

from monitor.channels.webpush import topic
from monitor.model import SECOND, format_mac, format_time
from monitor.web.grid.fleet import FleetChanges, SensorEntry


class SensorReply(msgspec.Struct):
    """One sensor; times are RFC 3339 in UTC."""

    mac_address: str
    name: str | None
    site: str | None
    status: str
    last_seen: str | None
    threshold_seconds: int | float
    incident_since: str | None
    acknowledged_at: str | None
    labels: Mapping[str, str]
    silenced_until: str | None
    silenced_by: str | None
    """What holds messages: a silence or maintenance, as text."""
    tag: str | None
    """Browser notices about the same incident have the same tag, as push messages do."""


class FleetReply(msgspec.Struct):
    """The fleet, or with `reset` false the changes since the client's cursor."""

    time: str
    horizon: str | None
    hindrance: str
    """Why sweeps fail, if that is known."""
    cursor: str
    reset: bool
    problem: str | None
    stale_since: str | None
    warnings: Sequence[str]
    """What else needs attention, as sentences."""
    forgotten: list[str]
    sensors: list[SensorReply]


def encode(changes: FleetChanges) -> bytes:
    """The body of a reply."""
    return msgspec.json.encode(
        FleetReply(
            time=format_time(changes.now),
            horizon=_time(changes.horizon or None),
            hindrance=changes.hindrance,
            cursor=str(changes.cursor),
            reset=changes.reset,
            problem=changes.problem,
            stale_since=_time(changes.stale_since),
            warnings=changes.warnings,
            forgotten=[format_mac(mac) for mac in changes.forgotten],
            sensors=[_sensor(entry) for entry in changes.entries],
        )
    )


def seconds(duration: int) -> int | float:
    """Milliseconds as seconds, whole ones as an integer."""
    return duration / SECOND if duration % SECOND else duration // SECOND


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_time(moment)


def _sensor(entry: SensorEntry) -> SensorReply:
    held = entry.held
    return SensorReply(
        mac_address=format_mac(entry.mac),
        name=entry.name,
        site=entry.site,
        status=entry.status.value,
        last_seen=_time(entry.last_seen),
        threshold_seconds=seconds(entry.threshold),
        incident_since=_time(entry.incident_since),
        acknowledged_at=_time(entry.acknowledged_at),
        labels=entry.labels,
        silenced_until=_time(held.until) if held else None,
        silenced_by=held.reason if held else None,
        tag=topic(entry.thread) if entry.thread else None,
    )
