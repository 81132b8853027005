"""Incidents and their messages without sweeps: the test gives the times."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, insert, select, update

from monitor.channels.interface import Message, SendFailed
from monitor.incidents import service
from monitor.incidents.flapping import FlappingRule
from monitor.incidents.hold_policy import holding
from monitor.incidents.machine import Event
from monitor.incidents.service import Alerting, Closing, Opening
from monitor.model import HOUR, MINUTE, SECOND, Held, Member
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery
from monitor.state import incidents, sensors
from monitor.state.database import reading, writing
from monitor.state.tables import channel, incident, route, suppression
from tests.delivering import delivery
from tests.outages import INTERVAL, NOW, WAIT

REPEAT = 4 * HOUR
RULE = FlappingRule(3, HOUR)


class RecordingChannel:
    """A channel that keeps its messages, or fails if `failure` is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[Message] = []
        self.failure: SendFailed | None = None

    def send(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.messages.append(message)

    @property
    def reported(self) -> list[tuple[str, set[str]]]:
        """(kind, last octets of the MAC addresses) of each message."""
        return [
            (message.kind, {each["mac"][-2:] for each in message.data["members"]})
            for message in self.messages
        ]


class AlertingRig:
    """Opens and closes incidents, and delivers their messages, at the times that a test gives."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.channels = {
            name: RecordingChannel(name) for name in ("email", "webhook", "pager", "sms")
        }
        self.budgets: dict[str, int] = {}
        self.alerting = Alerting(("email", "webhook"), WAIT, INTERVAL, RULE, frozenset(["pager"]))
        self.held: dict[int, Held] = {}
        """MAC address -> why messages about the sensor are held, and until when."""

    def notifier(self) -> Delivery:
        """A notifier with all channels of the rig."""
        channels = [
            ActiveChannel(each, tracks=name == "pager", budget=self.budgets.get(name))
            for name, each in self.channels.items()
        ]
        rules = holding(RULE)

        def hold(
            connection: Any, members: Mapping[int, Member], kind: str, now: int
        ) -> Mapping[int, Held]:
            found = dict(rules(connection, members, kind, now))
            for number, member in members.items():
                if member.mac in self.held and self.held[member.mac].until > now:
                    found[number] = self.held[member.mac]
            return found

        return delivery(
            self.engine,
            channels,
            hold=hold,
            remind_after=REPEAT,
            recipients=lambda _: ["email", "webhook"],
        )

    def deliver(self, now: int) -> None:
        """Try every message that is due."""
        self.notifier().deliver_once(now)

    def add_sensor(self, mac: int, site: str | None = "Hall", **values: Any) -> None:
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.configure(connection, mac, version, site=site, live=True, **values)

    def add_route(self, name: str, **values: Any) -> None:
        with writing(self.engine) as connection:
            row = {"position": 1, "matchers": [], "channels": [], "escalate_to": []}
            connection.execute(insert(route).values(name=name, **(row | values)))

    def add_channel(self, name: str, kind: str, **values: Any) -> None:
        with writing(self.engine) as connection:
            row = {"settings": {}, "enabled": True, "is_default": False, "created_at": NOW}
            connection.execute(insert(channel).values(name=name, kind=kind, **(row | values)))

    def down(self, *macs: int, now: int, fleet_wide: bool = False) -> None:
        """Open an incident for each of these sensors."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            found = [sensors.find(connection, mac) for mac in macs]
            openings = [Opening(row, now - 11 * MINUTE, 10 * MINUTE, True) for row in found if row]
            service.open_all(connection, openings, self.alerting, now, version, fleet_wide)

    def end(self, *macs: int, now: int, event: Event = Event.RECOVER) -> None:
        """Close the incidents of these sensors."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            earlier = incidents.open_incidents(connection)
            closings = [Closing(earlier[mac], event, now - SECOND) for mac in macs]
            service.close_all(connection, closings, self.alerting, now, version)

    def acknowledge(self, now: int) -> None:
        """Acknowledge all open incidents."""
        with writing(self.engine) as connection:
            connection.execute(
                update(incident).where(incident.c.closed_at.is_(None)).values(acknowledged_at=now)
            )

    def suppressions(self) -> list[tuple[str, str, str]]:
        """(channel, kind, reason) of each message that was not sent, or held."""
        with reading(self.engine) as connection:
            columns = (suppression.c.channel, suppression.c.kind, suppression.c.reason)
            return [tuple(row) for row in connection.execute(select(*columns))]
