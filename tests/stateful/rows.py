"""Reads the state without the service's own code."""

import sqlite3
from typing import Any, NamedTuple

from monitor.model import format_mac, format_time

Name = tuple[str, str]
"""(mac, opened at) of an incident, as messages write them."""


class Incident(NamedTuple):
    """A row of the table."""

    id: int
    mac: int
    last_seen: int
    threshold: int
    proven: bool
    opened_at: int
    flapping_since: int | None
    acknowledged_at: int | None
    closed_at: int | None
    closed_reason: str | None

    @property
    def is_flapping(self) -> bool:
        """Whether it is open and flapping."""
        return self.closed_at is None and self.flapping_since is not None

    @property
    def name(self) -> Name:
        """The name of the incident in messages."""
        return format_mac(self.mac), format_time(self.opened_at)


class PendingMessage(NamedTuple):
    """A pending or claimed message."""

    id: int
    channel: str
    kind: str
    state: str
    next_attempt_at: int
    outcome: str | None


_INCIDENTS = f"SELECT {', '.join(Incident._fields)} FROM incident ORDER BY id"
_PENDING = f"""
SELECT {", ".join(PendingMessage._fields)} FROM notification
WHERE state IN ('pending', 'claimed') AND (kind <> 'reminder' OR frozen_at IS NOT NULL)
"""
_ANY_PENDING = "SELECT 1 FROM notification WHERE state IN ('pending', 'claimed') LIMIT 1"
_OPEN_GROUPS = "SELECT id, cohort FROM alert_group WHERE closed_at IS NULL"


class Rows:
    """Reads one state."""

    def __init__(self, state: sqlite3.Connection) -> None:
        self._state = state

    def progress(self) -> tuple[int, int]:
        """(horizon, swept at)."""
        query = "SELECT horizon, swept_at FROM service"
        horizon, swept_at = self._state.execute(query).fetchone()
        return horizon, swept_at

    def incidents(self) -> dict[int, Incident]:
        """id -> incident."""
        return {row[0]: Incident(*row) for row in self._state.execute(_INCIDENTS)}

    def pending(self) -> list[PendingMessage]:
        """All pending messages, without reminders that are not frozen yet."""
        return [PendingMessage(*row) for row in self._state.execute(_PENDING)]

    def any_pending(self) -> bool:
        """Whether any message is pending."""
        return self._state.execute(_ANY_PENDING).fetchone() is not None

    def open_groups(self) -> list[Any]:
        """Alert groups that are not closed."""
        return self._state.execute(_OPEN_GROUPS).fetchall()
