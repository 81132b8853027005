"""Types and functions that all packages share: MAC addresses, times and heartbeats.

Times are whole milliseconds since the Unix epoch (UTC), durations whole milliseconds. A MAC address
is the integer of its 48 bits. They are text only in input and output.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ZONE_OFFSET = 2 * DAY
"""More than the local time of any time zone differs from UTC, and more than it ever changes by."""

GREATEST_ID = 2**63 - 1
"""The greatest id that a row of the state can have."""

FLEET = "fleet"
"""The cohort of an outage that affects the whole fleet, at several sites."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAC = re.compile(
    r"(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}"
    r"|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
    r"|[0-9a-f]{12}",
    re.ASCII,
)
_SEPARATORS = str.maketrans("", "", ":-.")


class Heartbeat(NamedTuple):
    """One report of one sensor. In the store, the point (mac, time)."""

    mac: int
    time: int
    """The sensor's own timestamp if it sent one, else the time of receipt."""
    received: int
    """When it was accepted."""
    live: bool = True
    """Whether the sensor sent it at the time of receipt; otherwise it is history, sent later."""
    metrics: Mapping[str, float] | None = None

    @property
    def seen(self) -> int:
        """The latest moment at which this heartbeat proves that the sensor was up."""
        return self.received if self.live else self.time


class Seen(NamedTuple):
    """The parts of a heartbeat that the arrival log has; `time` is Heartbeat.seen."""

    mac: int
    time: int
    live: bool


class Member(NamedTuple):
    """One incident of an alert group, as the group's messages show it."""

    mac: int
    name: str | None
    site: str | None
    last_seen: int
    threshold: int
    proven: bool
    opened_at: int
    recovered_at: int | None
    labels: Mapping[str, str] = MappingProxyType({})
    usual_interval: int | None = None
    """The usual interval (ms) between its heartbeats before the silence, if known."""
    interruptions: int = 0
    """Number of blind windows during the silence."""
    flapping_since: int | None = None
    """While the sensor is flapping: when the first incident of the episode opened."""
    refused_at: int | None = None
    """When its last heartbeat was refused, if that is known."""
    refused_for: str | None = None
    """Why: a key of `refusal.REASONS`."""


class MessageContext(NamedTuple):
    """The content of a message at the time it is frozen."""

    notification: int
    """The message's id in the outbox."""
    channel: str
    kind: str
    """down | recovered | reminder | flapping"""
    time: int
    thread: str
    """The same for all messages about one group."""
    escalated: bool
    """Whether it is sent because earlier messages were not acknowledged."""
    members: list[Member]
    """The incidents in this message, the longest silent first; never empty."""
    silent: int
    """The group's incidents that are open now, including those in earlier messages."""
    fleet_wide: bool
    """Whether the outage affects the whole fleet, at several sites."""
    site: str | None
    """The site of all members, if they have the same one."""
    neighbours: int | None
    """Number of sensors at that site, or in the fleet if it is fleet-wide, without paused ones."""
    neighbours_silent: int
    """Number of those that have an open incident."""


class Held(NamedTuple):
    """Why messages about an incident are held, and until when (ms)."""

    until: int
    reason: str


class IncidentView(NamedTuple):
    """An incident with its sensor; times and durations in ms."""

    id: int
    mac: int
    name: str | None
    site: str | None
    last_seen: int
    threshold: int
    proven: bool
    opened_at: int
    flapping_since: int | None
    acknowledged_at: int | None
    acknowledged_by: str | None
    closed_at: int | None
    closed_reason: str | None
    recovered_at: int | None


class Attempt(NamedTuple):
    """One attempt to send a message."""

    at: int
    result: str
    """sent | retry | failed"""
    detail: str | None


class Sending(NamedTuple):
    """A message to one channel, as far as it concerns one incident."""

    id: int
    channel: str
    kind: str
    """down | recovered | reminder | flapping"""
    delay: int
    state: str
    next_attempt_at: int
    held_until: int | None
    frozen_at: int | None
    finished_at: int | None
    outcome: str | None
    subject: str | None
    includes_incident: bool
    """Whether its text includes the incident; otherwise it could have, and does not."""
    recipient: str | None = None
    """The recipient, if the channel has several."""
    attempts: Sequence[Attempt] = ()


class Suppression(NamedTuple):
    """Why no message about an incident was sent to a channel, or why it is held."""

    channel: str
    kind: str
    at: int
    reason: str
    until: int | None
    """Until when it is held; None if it is never sent."""


class Facts(NamedTuple):
    """All that the ledger has about one incident; each list is in chronological order."""

    case: IncidentView
    sendings: list[Sending]
    suppressions: list[Suppression]


_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,3})?(?:d|h|min|m|s))+", re.ASCII)
_DURATION_PART = re.compile(r"([\d.]+)(d|h|min|m|s)", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?", re.ASCII)
_UNITS = {"d": DAY, "h": HOUR, "min": MINUTE, "m": MINUTE, "s": SECOND}


def parse_duration(text: str, unit: int | None = SECOND) -> int:
    """Parses `90s`, `5m`, `1d12h` or `2 min`, and returns ms. A number alone is in `unit` (ms); if
    that is None, a unit is required.

    Raises ValueError.
    """
    given = "".join(text.lower().split())
    if unit is not None and _NUMBER.fullmatch(given):
        return round(float(given) * unit)
    if not _DURATION.fullmatch(given):
        raise ValueError("must be like 90s, 5m, 4h or 1d12h")
    parts = _DURATION_PART.findall(given)
    return round(sum(float(number) * _UNITS[name] for number, name in parts))


def fits_in_header(secret: str) -> bool:
    """Whether an HTTP header can have this secret: HTTP libraries show others in their errors."""
    return secret.isascii() and secret.isprintable() and " " not in secret


def parse_mac(text: str) -> int:
    """Parses a MAC address in a usual format: 02:00:…, 02-00-…, 0200.0000.0000 or only hex digits.

    Raises ValueError.
    """
    if len(text) == 17 and text[2::3] == ":::::":  # the usual format, in a third of the time
        try:
            octets = bytes.fromhex(text.replace(":", ""))
        except ValueError:
            octets = b""
        if len(octets) == 6:
            return int.from_bytes(octets, "big")
    lowered = text.strip().lower()
    if not _MAC.fullmatch(lowered):
        raise ValueError(f"{text[:40]!r} is not a MAC address like 02:00:00:00:00:00")
    return int(lowered.translate(_SEPARATORS), 16)


def format_mac(mac: int) -> str:
    """The canonical format: lower case with colons."""
    return mac.to_bytes(6, "big").hex(":")


def format_time(moment: int) -> str:
    """RFC 3339 in UTC with milliseconds: 2026-11-23T03:42:00.000Z."""
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str) -> int:
    """Parses an RFC 3339 time. Raises ValueError, also for a time without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no time zone; write it like 2026-11-23T03:42:00Z")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
