"""Writes incidents and messages as rows, for tests of pages and queries."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, insert

from monitor.model import MINUTE, SECOND
from monitor.state import sensors
from monitor.state.database import writing
from monitor.state.tables import (
    alert_group,
    attempt,
    incident,
    notification,
    notification_incident,
    sensor,
    suppression,
)

NOW = 1_795_395_720_000  # 2026-11-23T01:02:00Z


class Cases:
    """Writes rows as the sweep and delivery would; times in ms."""

    def __init__(self, state: Engine, now: int = NOW) -> None:
        self.state, self.now = state, now

    def sensor(self, mac: int, **values: Any) -> None:
        """Register a sensor."""
        row = {"mac": mac, "live": True, "labels": {}, "paused": False, "version": 1}
        with writing(self.state) as connection:
            connection.execute(insert(sensor).values(**(row | values)))

    def group(self, cohort: str = "site:Harbour") -> int:
        """Add an alert group; its id."""
        with writing(self.state) as connection:
            added = insert(alert_group).values(cohort=cohort, opened_at=self.now)
            return int(connection.execute(added.returning(alert_group.c.id)).scalar_one())

    def incident(self, mac: int, group: int, **values: Any) -> int:
        """Add an incident opened now, with the sensor silent for eleven minutes; its id."""
        row = {
            "mac": mac,
            "last_seen": self.now - 11 * MINUTE,
            "threshold": 10 * MINUTE,
            "proven": True,
            "opened_at": self.now,
            "group_id": group,
        }
        with writing(self.state) as connection:
            row["version"] = sensors.next_version(connection)
            added = insert(incident).values(**(row | values)).returning(incident.c.id)
            return int(connection.execute(added).scalar_one())

    def message(
        self,
        group: int,
        incidents: Iterable[int] = (),
        attempts: Collection[tuple[int, str, str | None]] = (),
        **values: Any,
    ) -> int:
        """Add a notification; its id. With `incidents` it is frozen 30 s from now, unless
        `values` override that. `attempts`: (at, result, detail)."""
        named = list(incidents)
        row: dict[str, Any] = {
            "key": uuid4().hex,
            "group_id": group,
            "channel": "email",
            "kind": "down",
            "state": "pending",
            "created_at": self.now,
            "next_attempt_at": self.now + 30 * SECOND,
        }
        if named:
            row |= {"frozen_at": self.now + 30 * SECOND, "body": {"subject": "Boiler silent"}}
        with writing(self.state) as connection:
            added = insert(notification).values(**(row | values)).returning(notification.c.id)
            number = int(connection.execute(added).scalar_one())
            for one in named:
                connection.execute(
                    insert(notification_incident).values(notification_id=number, incident_id=one)
                )
            for at, result, detail in attempts:
                connection.execute(
                    insert(attempt).values(
                        notification_id=number, at=at, result=result, detail=detail
                    )
                )
        return number

    def suppress(self, incident_id: int, reason: str, **values: Any) -> None:
        """Record why the email channel was not notified."""
        row = {"channel": "email", "kind": "down", "at": self.now, "reason": reason}
        with writing(self.state) as connection:
            connection.execute(
                insert(suppression).values(incident_id=incident_id, **(row | values))
            )
