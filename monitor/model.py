"""The words every room shares: MAC addresses, moments and heartbeats.

Moments are whole milliseconds since the Unix epoch (UTC), durations whole milliseconds;
a MAC address is the integer of its 48 bits. Text exists only at the edges.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

FLEET = "fleet"
"""The cohort of a silence that spares nobody, whatever the sites."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAC = re.compile(
    r"(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}"
    r"|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
    r"|[0-9a-f]{12}",
    re.ASCII,
)
_SEPARATORS = str.maketrans("", "", ":-.")


class Heartbeat(NamedTuple):
    """One report of one sensor; in the store, the point (mac, time)."""

    mac: int
    time: int
    """The point's own time: the sensor's stamp where it gave one, else the time received."""
    received: int
    """When a 2xx was given for it."""
    live: bool = True
    """The sensor itself was speaking when it was received; otherwise it is history, sent late."""
    metrics: Mapping[str, float] | None = None

    @property
    def seen(self) -> int:
        """The moment up to which this heartbeat proves the sensor alive."""
        return self.received if self.live else self.time


class Seen(NamedTuple):
    """Proof of life without the rest of the heartbeat: what the arrival log carries."""

    mac: int
    time: int
    live: bool


class Member(NamedTuple):
    """One incident of an alert group, as the group's messages tell of it."""

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
    """How far apart its heartbeats were before the silence, where that could be told."""
    interruptions: int = 0
    """How often monitoring itself was interrupted during the silence."""
    flapping_since: int | None = None
    """While it falls silent again and again: when the first incident of those opened."""


class MessageContext(NamedTuple):
    """What a message is about when it is frozen."""

    notification: int
    """Its number in the outbox."""
    channel: str
    kind: str
    """down | recovered | reminder | flapping"""
    time: int
    thread: str
    """The same for all messages about one matter."""
    escalated: bool
    """Sent since nobody acknowledged what others were told."""
    members: list[Member]
    """Those it tells of, the longest silent first; never empty."""
    silent: int
    """Incidents of the matter open at this moment, told of earlier or not."""
    fleet_wide: bool
    """The silence spares nobody, whatever the sites."""
    site: str | None
    """Where all members are, if they have a site in common."""
    neighbours: int | None
    """How many sensors that site has, or the fleet if it is fleet-wide; paused ones not counted."""
    neighbours_silent: int
    """How many of those have an open incident."""


class Held(NamedTuple):
    """Why nobody is told of an incident for now, and until when (ms)."""

    until: int
    reason: str


def parse_mac(text: str) -> int:
    """The address behind any usual spelling: 02:00:…, 02-00-…, 0200.0000.0000 or bare hex.

    Raises ValueError for anything else.
    """
    if len(text) == 17 and text[2::3] == ":::::":  # the usual case, a third of the time
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
    """The canonical spelling: lower case, colons."""
    return mac.to_bytes(6, "big").hex(":")


def format_time(moment: int) -> str:
    """RFC 3339 in UTC with milliseconds: 2026-11-23T03:42:00.000Z."""
    return (_EPOCH + timedelta(milliseconds=moment)).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str) -> int:
    """The moment of an RFC 3339 time; one without an offset is refused, not guessed.

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no time zone; write it like 2026-11-23T03:42:00Z")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
