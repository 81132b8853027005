"""The whole service with a fleet and recipients, and the outcome of an outage of the service.

MONITOR_TEST_OWN_OUTAGES sets the threshold in seconds, for a longer and more realistic run.
"""

import json
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from monitor.model import SECOND, parse_mac
from monitor.state.database import open_state, reading
from monitor.state.tables import blind_window, incident, sensor
from tests.influxd.server import Access
from tests.own_outages.fleet import Beat, Diary, Fleet, make_fleet
from tests.postgres import fresh_database
from tests.receiver import Request, receiver
from tests.service import Service
from tests.smtp import mailbox
from tests.waiting import eventually

THRESHOLD = float(os.environ.get("MONITOR_TEST_OWN_OUTAGES", "12"))
"""Seconds. Three thresholds must exceed the 30 s after which a pause breaks coverage."""
SENSORS = 2_000 if "MONITOR_TEST_OWN_OUTAGES" in os.environ else 200
DEATHS = 3
"""The number of sensors that die during the outage, and again after it."""
OUTAGE = 3.0
"""The length of an outage in thresholds."""

_MAC = re.compile(rb"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")

TIMING = {
    "MONITOR_STALENESS_THRESHOLD": THRESHOLD,
    "MONITOR_STALENESS_SWEEP_INTERVAL": max(1.0, THRESHOLD / 120),
    "MONITOR_STALENESS_SOURCE_LOST_AFTER": 10 * THRESHOLD,
    "MONITOR_ALERTS_BLIND_NOTICE_AFTER": max(2.0, THRESHOLD / 40),
    "MONITOR_ALERTS_GROUP_WAIT": 1,
    "MONITOR_ALERTS_GROUP_INTERVAL": 2,
}


@dataclass
class Received:
    """The messages that reached the recipients, with times in seconds of the monotonic clock."""

    calls: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    mailed: set[int] = field(default_factory=set)
    """The sensors named in emails."""

    def of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """The webhook's calls of one kind."""
        return [call for call in self.calls if call[1]["kind"] == kind]

    def macs(self, kind: str) -> dict[int, float]:
        """mac -> time of the first message of this kind."""
        first: dict[int, float] = {}
        for moment, message in self.of(kind):
            for member in message["members"]:
                first.setdefault(parse_mac(member["mac"]), moment)
        return first

    def notices(self, beginning: str) -> int:
        """The number of notices whose subject starts with `beginning`."""
        return sum(call["subject"].startswith(beginning) for _, call in self.of("notice"))


@dataclass
class Outcome:
    """The outcome of a scenario."""

    proven: list[Any]
    """False alerts: proven incidents of live sensors."""
    presumed: list[Any]
    """Presumed incidents of live sensors."""
    of_dead_sensors: list[Any]
    received: Received
    dead: set[int]
    """The sensors that died during the outage or after it."""
    blind: list[tuple[float, float]]
    """Blind windows in seconds since the start of the outage, without the one before the first
    coverage."""
    delays: list[list[float]]
    """Seconds from last heartbeat to message, for deaths during the outage and after it."""
    waited: float
    """Seconds from the end of the outage to the last message about a death during it."""
    diary: Diary
    slow: int
    """Heartbeats that waited long for an answer while the service should have answered."""
    late: list[Any]
    """Proven incidents of live sensors whose heartbeat was slow. On a busy machine such a sensor
    was silent for longer than its threshold."""


@contextmanager
def recipients() -> Iterator[tuple[Received, dict[str, object]]]:
    """A mailbox and a webhook receiver, and the settings that point to them."""
    received = Received()
    with mailbox() as mail, receiver() as calls:

        def called(request: Request) -> None:
            received.calls.append((time.monotonic(), json.loads(request.body)))

        def delivered() -> str:
            named = _MAC.findall(mail.seen[-1])
            received.mailed.update(parse_mac(mac.decode()) for mac in named)
            return "250 OK"

        calls.before_answer, mail.to_content = called, delivered
        yield (
            received,
            {
                "MONITOR_EMAIL_SERVER": "127.0.0.1",
                "MONITOR_EMAIL_PORT": mail.port,
                "MONITOR_EMAIL_SENDER": "monitor@example.org",
                "MONITOR_EMAIL_RECIPIENTS": "night@example.org",
                "MONITOR_WEBHOOK_URL": calls.url,
                "MONITOR_WEBHOOK_ALLOW_INTERNAL": "true",
            },
        )


class Monitoring:
    """One or more hosts with one state, a fleet that reports to all of them, and recipients."""

    def __init__(self, services: Sequence[Service], state_url: str, received: Received) -> None:
        self.services, self.received = services, received
        self._state = open_state(state_url)
        self._directory = services[0].directory
        self._began = self._ended = 0.0
        self._answered = True
        self.fleet: Fleet

    @contextmanager
    def fleet_alive(self) -> Iterator[None]:
        """Run the fleet; wait until all sensors are known."""
        urls = [service.url for service in self.services if "notifier" not in service.command]
        self.fleet = Fleet(make_fleet(urls, SENSORS, THRESHOLD, DEATHS, waves=2), self._directory)
        try:
            eventually(lambda: self._known() == SENSORS, THRESHOLD + 30, every=0.2)
            yield
        finally:
            self.fleet.kill()
            self._state.dispose()

    @contextmanager
    def outage(self, *, answered: bool = True) -> Iterator[None]:
        """The body causes an outage in which some sensors die; more die after it.

        `answered`: during the outage sensors get an answer or a refused connection.
        """
        self._answered = answered
        self._began = time.monotonic()
        yield
        self._ended = time.monotonic()
        self.fleet.kill_next_wave()
        timeout = 3 * THRESHOLD + 30
        eventually(self.dead_are_reported, timeout, every=0.1)
        self.wait(max(0.0, 2 - (time.monotonic() - self._ended) / THRESHOLD))

    def wait(self, thresholds: float) -> None:
        """Wait in real time."""
        threading.Event().wait(thresholds * THRESHOLD)

    def wait_for_the_outage(self) -> None:
        """Wait for the length of an outage; half-way some sensors die."""
        self.wait(OUTAGE / 2)
        self.fleet.kill_next_wave()
        self.wait(OUTAGE / 2)

    def outcome(self) -> Outcome:
        """End the fleet; the outcome."""
        received = Received(list(self.received.calls), set(self.received.mailed))
        with reading(self._state) as connection:
            incidents = connection.execute(select(incident).order_by(incident.c.id)).all()
            columns = select(blind_window.c.start, blind_window.c.stop)
            windows = connection.execute(columns.where(blind_window.c.start > 0)).all()
        diary, waves = self.fleet.finish(), self.fleet.dead
        dead = set.union(*waves)
        offset = time.time() - time.monotonic()
        arrivals = received.macs("down")
        delays = [
            sorted(arrivals[mac] + offset - diary[mac][-1].sent / SECOND for mac in wave)
            for wave in waves
        ]
        living = [row for row in incidents if row.mac not in dead]
        proven = [row for row in living if row.proven]
        late = [row for row in proven if self._kept_waiting(diary[row.mac], row, offset)]
        return Outcome(
            proven=[row for row in proven if row not in late],
            late=late,
            presumed=[row for row in living if not row.proven],
            of_dead_sensors=[row for row in incidents if row.mac in dead],
            received=received,
            dead=dead,
            blind=sorted(
                (start / SECOND - offset - self._began, stop / SECOND - offset - self._began)
                for start, stop in windows
            ),
            delays=delays,
            waited=max(arrivals[mac] for mac in waves[0]) - self._ended,
            diary=diary,
            slow=sum(self._is_slow(beat, offset) for beats in diary.values() for beat in beats),
        )

    def _is_slow(self, beat: Beat, offset: float) -> bool:
        excused = self._began + offset - 1 < beat.sent / SECOND < self._ended + offset + 1
        took = (beat.answered - beat.sent) / SECOND
        return took > THRESHOLD / 20 and (self._answered or not excused)

    def _kept_waiting(self, beats: Sequence[Beat], row: Any, offset: float) -> bool:
        """Whether the sensor sent a heartbeat in time, and the answer took too long."""
        sent = [beat for beat in beats if row.last_seen < beat.sent < row.opened_at]
        return any(self._is_slow(beat, offset) for beat in sent)

    def _known(self) -> int:
        with reading(self._state) as connection:
            query = select(func.count()).select_from(sensor).where(sensor.c.live)
            return int(connection.execute(query).scalar_one())

    def dead_are_reported(self) -> bool:
        """Whether both recipients have a message about each dead sensor."""
        reported = self.received.macs("down").keys() & self.received.mailed
        return set.union(*self.fleet.dead) <= reported


@dataclass(frozen=True)
class Place:
    """A directory for the files of a scenario, and a shared InfluxDB."""

    directory: Path
    influxd: Access
    _name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @contextmanager
    def monitoring(
        self,
        stores: Sequence[Access | None] = (),
        state: str = "sqlite",
        **variables: object,
    ) -> Iterator[Monitoring]:
        """The service on one host per entry of `stores`; None means SQLite. The first host runs
        all processes, the others `monitor web`. `state`: sqlite | postgresql."""
        stores = stores or [self.influxd]
        with ExitStack() as resources:
            received, channels = resources.enter_context(recipients())
            first = self.directory / "host-1"
            url = (
                fresh_database()
                if state == "postgresql"
                else f"sqlite:///{first / 'data' / 'state.sqlite'}"
            )
            settings = {
                **TIMING,
                **channels,
                "MONITOR_STATE_URL": url,
                "MONITOR_STORE_HEARTBEATS_BUCKET": f"beats-{self._name}",
                "MONITOR_STORE_ARRIVALS_BUCKET": f"arrivals-{self._name}",
                **variables,
            }
            services = []
            for number, store in enumerate(stores, start=1):
                directory = self.directory / f"host-{number}"
                directory.mkdir(parents=True)
                command = "serve" if number == 1 else "web"
                service = Service(directory, command, **settings, **_influxdb(store))
                services.append(resources.enter_context(service))
                service.ready(60)
            monitoring = Monitoring(services, url, received)
            with monitoring.fleet_alive():
                yield monitoring


def _influxdb(store: Access | None) -> dict[str, object]:
    if store is None:
        return {}
    return {
        "INFLUXDB_V2_URL": store.url,
        "INFLUXDB_V2_ORG": store.org,
        "INFLUXDB_V2_TOKEN": store.token,
    }


def report(name: str, outcome: Outcome) -> str:
    """One line of figures."""
    beats = [beat for beats in outcome.diary.values() for beat in beats]
    lost = sum(beat.status == 0 for beat in beats)
    refused = sum(beat.status not in (0, 200) for beat in beats)
    blind = ", ".join(f"{start:.1f} to {stop:.1f}" for start, stop in outcome.blind) or "never"
    notices = ", ".join(message["subject"] for _, message in outcome.received.of("notice"))
    during, after = (" ".join(f"{delay:.1f}" for delay in wave) for wave in outcome.delays)
    return (
        f"{name}: {len(beats)} heartbeats, {lost} lost, {refused} refused, {outcome.slow} slow; "
        f"false by proof {len(outcome.proven)}, by presumption {len(outcome.presumed)}, "
        f"by a slow machine {len(outcome.late)}; "
        f"blind {blind}; notices: {notices or 'none'}; seconds from last heartbeat to message: "
        f"{during} of those that died meanwhile ({outcome.waited:+.1f} after the outage), "
        f"{after} of those that died after it"
    )
