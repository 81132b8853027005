"""The whole service with a living fleet, its recipients, and what came of an outage of its own.

MONITOR_TEST_OWN_OUTAGES names the threshold in seconds for a longer, more faithful run.
"""

import json
import os
import threading
import time
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
from tests.own_outages.fleet import Diary, Fleet, made_up
from tests.postgres import fresh_database
from tests.receiver import Request, receiver
from tests.service import Service
from tests.smtp import mailbox
from tests.waiting import eventually

THRESHOLD = float(os.environ.get("MONITOR_TEST_OWN_OUTAGES", "12"))
"""Seconds. Three of them must be more than the 30 s after which a pause counts as one."""
SENSORS, DEATHS = 2_000, 3
OUTAGE = 3.0
"""Thresholds that an outage lasts."""

TIMING = {
    "MONITOR_STALENESS_THRESHOLD": THRESHOLD,
    "MONITOR_STALENESS_SWEEP_INTERVAL": max(0.5, THRESHOLD / 120),
    "MONITOR_STALENESS_SOURCE_LOST_AFTER": 10 * THRESHOLD,
    "MONITOR_ALERTS_GROUP_WAIT": 1,
    "MONITOR_ALERTS_GROUP_INTERVAL": 2,
}


@dataclass
class Told:
    """What reached the recipients, and when (seconds of the monotonic clock)."""

    calls: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    mails: int = 0

    def of(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """The webhook's calls of one kind."""
        return [call for call in self.calls if call[1]["kind"] == kind]

    def macs(self, kind: str) -> dict[int, float]:
        """Who was told of, and when first."""
        first: dict[int, float] = {}
        for moment, message in self.of(kind):
            for member in message["members"]:
                first.setdefault(parse_mac(member["mac"]), moment)
        return first


@dataclass
class Outcome:
    """How it ended."""

    proven: list[Any]
    """Incidents of living sensors by the first clause."""
    presumed: list[Any]
    """The same by the second."""
    of_the_dead: list[Any]
    told: Told
    dead: set[int]
    blind: list[tuple[float, float]]
    """Seconds from the beginning of the outage; without what was before the first pulse."""
    delays: dict[int, float]
    """mac -> seconds from the later of a threshold after its last heartbeat and the outage's end
    to the message, of those that died."""
    diary: Diary


@contextmanager
def recipients() -> Iterator[tuple[Told, dict[str, object]]]:
    """Mailbox and webhook, and the settings that lead there."""
    told = Told()
    with mailbox() as mail, receiver() as calls:

        def called(request: Request) -> None:
            told.calls.append((time.monotonic(), json.loads(request.body)))

        def delivered() -> str:
            told.mails += 1
            return "250 OK"

        calls.before_answer, mail.to_content = called, delivered
        yield (
            told,
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

    def __init__(self, services: Sequence[Service], state_url: str, told: Told) -> None:
        self.services, self.told = services, told
        self._state = open_state(state_url)
        self._directory = services[0].directory
        self._began = self._ended = 0.0
        self.fleet: Fleet

    @contextmanager
    def fleet_alive(self) -> Iterator[None]:
        """All sensors report and are known."""
        urls = [service.url for service in self.services if "notifier" not in service.command]
        self.fleet = Fleet(made_up(urls, SENSORS, THRESHOLD, DEATHS), self._directory)
        try:
            eventually(lambda: self._known() == SENSORS, THRESHOLD + 30, every=0.2)
            yield
        finally:
            self.fleet.kill()
            self._state.dispose()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The body is one; afterwards the dead are waited for, and the living watched."""
        self._began = time.monotonic()
        yield
        self._ended = time.monotonic()
        patience = 3 * THRESHOLD + 30
        eventually(lambda: self._told_of_the_dead(), patience, every=0.1)
        self.let_pass(max(0.0, 2 - (time.monotonic() - self._ended) / THRESHOLD))

    def let_pass(self, thresholds: float) -> None:
        """Real time, as an outage does."""
        threading.Event().wait(thresholds * THRESHOLD)

    def last(self) -> None:
        """For as long as an outage lasts; half-way some sensors die."""
        self.let_pass(OUTAGE / 2)
        self.fleet.let_some_die()
        self.let_pass(OUTAGE / 2)

    def outcome(self) -> Outcome:
        """Of all that happened so far; the fleet is ended."""
        diary, dead = self.fleet.finish(), self.fleet.dead
        with reading(self._state) as connection:
            incidents = connection.execute(select(incident).order_by(incident.c.id)).all()
            columns = select(blind_window.c.start, blind_window.c.stop)
            windows = connection.execute(columns.where(blind_window.c.start > 0)).all()
        offset = time.time() - time.monotonic()
        arrivals = self.told.macs("down")
        delays = {
            mac: arrivals[mac]
            - max(self._ended, diary[mac][-1].answered / SECOND - offset + THRESHOLD)
            for mac in dead & arrivals.keys()
        }
        living = [row for row in incidents if row.mac not in dead]
        return Outcome(
            proven=[row for row in living if row.proven],
            presumed=[row for row in living if not row.proven],
            of_the_dead=[row for row in incidents if row.mac in dead],
            told=self.told,
            dead=dead,
            blind=sorted(
                (start / SECOND - offset - self._began, stop / SECOND - offset - self._began)
                for start, stop in windows
            ),
            delays=delays,
            diary=diary,
        )

    def _known(self) -> int:
        with reading(self._state) as connection:
            query = select(func.count()).select_from(sensor).where(sensor.c.live)
            return int(connection.execute(query).scalar_one())

    def _told_of_the_dead(self) -> bool:
        return self.fleet.dead <= self.told.macs("down").keys()


@dataclass(frozen=True)
class Place:
    """Where a scenario may leave its files, and an InfluxDB that it shares with others."""

    directory: Path
    influxd: Access

    @contextmanager
    def monitoring(
        self,
        stores: Sequence[Access | None] = (),
        state: str = "sqlite",
        **variables: object,
    ) -> Iterator[Monitoring]:
        """The service on as many hosts as there are `stores`, None for the embedded one. The
        first runs all processes, the others `monitor web`. `state`: sqlite | postgresql."""
        stores = stores or [self.influxd]
        with ExitStack() as resources:
            told, channels = resources.enter_context(recipients())
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
                "MONITOR_STORE_HEARTBEATS_BUCKET": f"beats-{self.directory.name}",
                "MONITOR_STORE_ARRIVALS_BUCKET": f"arrivals-{self.directory.name}",
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
            monitoring = Monitoring(services, url, told)
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
    delays = ", ".join(f"{delay:+.1f}" for delay in sorted(outcome.delays.values()))
    return (
        f"{name}: {len(beats)} heartbeats, {lost} lost, {refused} refused; false by proof "
        f"{len(outcome.proven)}, by presumption {len(outcome.presumed)}; blind {blind}; "
        f"notices {len(outcome.told.of('notice'))}; "
        f"the dead told after {delays} s"
    )
