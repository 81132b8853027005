"""Writes incidents directly into a state, for tests of their messages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from monitor.model import MINUTE, SECOND
from monitor.outbox import notifications
from monitor.state.database import reading, writing
from monitor.state.tables import (
    alert_group,
    incident,
    notification,
    notification_incident,
    sensor,
)

NOW = 1_795_395_720_000  # 2026-11-23T01:02:00Z
WAIT = 30 * SECOND
INTERVAL = 5 * MINUTE


class Outages:
    """Opens, acknowledges and closes the incidents of one group, as the sweep and users do."""

    def __init__(
        self, engine: Engine, channels: Sequence[str], cohort: str = "site:Site X"
    ) -> None:
        self.engine = engine
        self.channels = channels
        with writing(engine) as connection:
            self.group = connection.execute(
                insert(alert_group).values(cohort=cohort, opened_at=NOW).returning(alert_group.c.id)
            ).scalar_one()

    def sensors(self, *macs: int, site: str | None = "Site X", name: str | None = None) -> None:
        """Register sensors."""
        with writing(self.engine) as connection:
            for mac in macs:
                connection.execute(
                    insert(sensor).values(mac=mac, site=site, name=name, live=True, version=1)
                )

    def down(self, *macs: int, now: int = NOW, **values: Any) -> None:
        """Open an incident for each sensor and enqueue the message."""
        with self.holding() as connection:
            self.open(connection, *macs, now=now, **values)

    def open(self, connection: Connection, *macs: int, now: int = NOW, **values: Any) -> None:
        """Like `down`, inside a transaction that has locked the group."""
        row = {
            "last_seen": now - 10 * MINUTE,
            "threshold": 10 * MINUTE,
            "proven": True,
            "opened_at": now,
            "group_id": self.group,
            "version": 1,
        }
        for mac in macs:
            connection.execute(insert(incident).values(mac=mac, **(row | values)))
        self._enqueue(connection, "down", now)

    def up(self, *macs: int, now: int = NOW, reason: str = "recovered") -> None:
        """Close the incidents and enqueue the message."""
        with self.holding() as connection:
            connection.execute(
                update(incident)
                .where(incident.c.mac.in_(macs), incident.c.closed_at.is_(None))
                .values(closed_at=now, closed_reason=reason, recovered_at=now - SECOND)
            )
            if reason == "recovered":
                self._enqueue(connection, "recovered", now)
            notifications.close_group_if_done(connection, self.group, now)

    def acknowledge(self, *macs: int, now: int = NOW) -> None:
        """Acknowledge the open incidents of these sensors."""
        with self.holding() as connection:
            connection.execute(
                update(incident).where(incident.c.mac.in_(macs)).values(acknowledged_at=now)
            )

    @contextmanager
    def holding(self) -> Iterator[Connection]:
        """A transaction that locks the group, which every change of its rows requires."""
        query = select(alert_group.c.id).where(alert_group.c.id == self.group)
        with writing(self.engine) as connection:
            connection.execute(query.with_for_update())
            yield connection

    def _enqueue(self, connection: Connection, kind: str, now: int) -> None:
        for channel in self.channels:
            notifications.enqueue(
                connection, self.group, kind, channel, now, wait=WAIT, interval=INTERVAL
            )

    def closed(self) -> bool:
        """Whether the group is settled."""
        with reading(self.engine) as connection:
            query = select(alert_group.c.closed_at).where(alert_group.c.id == self.group)
            return connection.execute(query).scalar_one() is not None

    def ledger(self) -> list[tuple[str, str, str | None]]:
        """(kind, state, outcome) of each message in the order enqueued."""
        return [(row.kind, row.state, row.outcome) for row in rows(self.engine)]

    def members(self) -> list[set[int]]:
        """The MAC addresses of the members of each message, in the same order."""
        with reading(self.engine) as connection:
            query = select(notification_incident.c.notification_id, incident.c.mac).join(incident)
            pairs = connection.execute(query).all()
        return [{mac for number, mac in pairs if number == row.id} for row in rows(self.engine)]


def rows(engine: Engine) -> list[Any]:
    """The whole outbox, in the order enqueued."""
    with reading(engine) as connection:
        return list(connection.execute(select(notification).order_by(notification.c.id)))


def let_claims_run_out(engine: Engine) -> None:
    """Make all claims expire."""
    with writing(engine) as connection:
        connection.execute(
            update(notification).where(notification.c.state == "claimed").values(claimed_until=1)
        )


def let_retries_come_due(engine: Engine) -> None:
    """Make all pending messages due."""
    with writing(engine) as connection:
        connection.execute(
            update(notification).where(notification.c.state == "pending").values(next_attempt_at=1)
        )
