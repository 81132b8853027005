"""One clock for all: sensors, hosts, schedulers, notifiers, recipients."""

import itertools
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import insert

from monitor.model import HOUR, MINUTE, SECOND, format_mac
from monitor.outbox import delivery
from monitor.services.incidents import acknowledge
from monitor.state import sensors as sensor_rows
from monitor.state import silences
from monitor.state.database import writing
from monitor.state.tables import route
from monitor.store.sqlite import SqliteStore
from tests.stateful.holds import Hold
from tests.stateful.hosts import IngestHost
from tests.stateful.incident_checks import IncidentChecks
from tests.stateful.message_checks import Limits, MessageChecks
from tests.stateful.parts import RETENTION, Files, ProcessKilled
from tests.stateful.processes import (
    CHANNELS,
    GROUP_INTERVAL,
    GROUP_WAIT,
    LOST_AFTER,
    REMIND_AFTER,
    Notifier,
    Scheduler,
)
from tests.stateful.recipients import Arrival, Behaviour, Recipient
from tests.stateful.rows import Incident, Rows
from tests.stateful.sensors import Sensor

ESCALATING_SITE = "Hall A"
ESCALATE_AFTER = 5 * MINUTE
_MOST_TICKS = 50


def flapping_window(threshold: int) -> int:
    """Ten minutes, or six thresholds if that is longer."""
    return max(10 * MINUTE, 6 * threshold)


def _local(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / SECOND, UTC):%Y-%m-%dT%H:%M}"


class World:
    """One example: its methods are the events that can happen, and each is checked."""

    def __init__(self, files: Files, figures: Counter[str]) -> None:
        files.begin()
        self.files, self.figures = files, figures
        self.store = SqliteStore(files.store, RETENTION, writable=True)
        self.state = sqlite3.connect(files.state, isolation_level=None, check_same_thread=False)
        self.sensors: dict[int, Sensor] = {}
        self.hosts: list[IngestHost] = []
        self.schedulers: list[Scheduler] = []
        self.recipients = [Recipient(name, self) for name in CHANNELS]
        self.escalates = False
        rows = Rows(self.state)
        self.incident_checks = IncidentChecks(
            rows, self.sensors, self.hosts, LOST_AFTER, flapping_window, figures
        )
        limits = Limits(
            max(GROUP_WAIT, GROUP_INTERVAL), REMIND_AFTER, ESCALATE_AFTER, flapping_window
        )
        self.message_checks = MessageChecks(
            rows, self.recipients, limits, self._escalates_to, figures
        )
        self.notifiers: list[Notifier] = []
        self.undisturbed_since = 0
        self._failure: Exception | None = None
        self.numbers = itertools.count(1)
        self.add_host()
        self.add_scheduler()
        self.add_notifier()

    def end(self) -> None:
        """Close files."""
        self.state.close()
        self.store.close()
        for scheduler in self.schedulers:
            scheduler.store.close()

    @property
    def now(self) -> int:
        """The current time in ms."""
        return self.files.clock.time

    # --- Time --------------------------------------------------------------------------------

    def tick(self, length: int) -> None:
        """Let `length` ms pass; then run each process once."""
        began = self.now
        self.files.clock.time += length
        now = self.now
        due = [beat for sensor in self.sensors.values() for beat in sensor.beat_until(now)]
        for moment, sensor in sorted(due, key=lambda beat: beat[0]):
            sensor.send(moment, moment)
        for host in self.hosts:
            host.ship(self.store, now)
        self.incident_checks.time_passed(began, now)
        for scheduler in list(self.schedulers):
            scheduler.tick()
            self.incident_checks.after_sweep(self.now)
            self.message_checks.read()
        self._deliver()
        self.figures["ticks"] += 1

    def _deliver(self) -> None:
        if not self.message_checks.rows.any_pending():
            return  # as the notifiers would find; running them would take most of the time
        for notifier in list(self.notifiers):
            try:
                notifier.tick(self.now)
            except ProcessKilled:
                self.notifiers.remove(notifier)
                self._note_disturbance()
                self.figures["notifiers killed"] += 1
        if self._failure:
            raise self._failure
        if all(notifier.busy for notifier in self.notifiers):
            self._note_disturbance()
        self.message_checks.after_delivery(self.now, self.undisturbed_since)

    def _note_disturbance(self) -> None:
        """Restart the time limits: a claim may have to expire first."""
        self.undisturbed_since = self.now + delivery.CLAIM

    def arrived(self, arrival: Arrival) -> None:
        """Check a message on arrival; errors are kept, since delivery would catch an exception."""
        try:
            self.message_checks.arrived(arrival)
        except AssertionError as error:
            self._failure = self._failure or error

    def kill_notifier(self) -> None:
        """Kill the notifier that is sending."""
        self.files.kill_at_next_transaction = True

    def _escalates_to(self, mac: int, channel: str) -> bool:
        there = self.sensors[mac].site == ESCALATING_SITE
        return self.escalates and there and channel == CHANNELS[1]

    # --- Sensors -----------------------------------------------------------------------------

    def add_sensor(
        self, threshold: int, share: float, site: str | None, first: int, others: bool, live: bool
    ) -> Sensor:
        """Add a sensor that reports every `share` of its threshold to the host numbered `first`,
        or, with `others`, to the next host if that one refuses. `live` False: it sends nothing."""
        mac = 0x020000000000 + next(self.numbers)
        hosts = self.hosts[first:] + self.hosts[:first]
        sensor = Sensor(
            mac,
            site,
            threshold,
            round(threshold * share),
            tuple(hosts if others else hosts[:1]),
            self.now + 1 + mac % 7 * SECOND,
            alive=live,
        )
        self.sensors[mac] = sensor
        self._configure(sensor, threshold=threshold, site=site)
        return sensor

    def report_history(self, sensor: Sensor, ago: int) -> None:
        """A gateway reports an old heartbeat of this sensor."""
        sensor.send(self.now - ago, self.now, live=False)

    def set_threshold(self, sensor: Sensor, threshold: int) -> None:
        """Change the threshold of a sensor."""
        sensor.threshold = threshold
        self._configure(sensor, threshold=threshold)

    def pause(self, sensor: Sensor, paused: bool) -> None:
        """Pause or unpause a sensor."""
        if sensor.paused and not paused:
            sensor.monitored_since = self.now
        sensor.paused = paused
        self._configure(sensor, paused=paused)

    def _configure(self, sensor: Sensor, **values: object) -> None:
        with writing(self.files.engine) as connection:
            version = sensor_rows.next_version(connection)
            sensor_rows.configure(connection, sensor.mac, version, **values)

    # --- People ------------------------------------------------------------------------------

    def escalate(self) -> None:
        """Escalate the incidents of one site to the second channel if no one acknowledges them."""
        self.escalates = True
        with writing(self.files.engine) as connection:
            connection.execute(
                insert(route).values(
                    name="escalating",
                    position=1,
                    matchers=[f"site={ESCALATING_SITE}"],
                    channels=[CHANNELS[0]],
                    escalate_to=[CHANNELS[1]],
                    escalate_after=ESCALATE_AFTER,
                )
            )

    def acknowledge(self, row: Incident) -> None:
        """Acknowledge an incident."""
        acknowledge(self.files.engine, "anna", [row.id], self.now)
        self.message_checks.read()

    def silence(self, site: str | None, sensor: Sensor, delay: int, length: int) -> None:
        """Add a silence for a site, or else for one sensor."""
        start = self.now + delay
        with writing(self.files.engine) as connection:
            number = silences.add_silence(
                connection,
                [f"site={site}" if site else f"mac={format_mac(sensor.mac)}"],
                start,
                start + length,
                "planned",
                "operator",
                self.now,
            )
        self._add_hold(number, site, sensor, start, start + length, False)

    def maintain(self, site: str, length: int) -> None:
        """Add maintenance of a site that starts in this minute."""
        start = self.now - self.now % MINUTE
        with writing(self.files.engine) as connection:
            number = silences.add_maintenance(
                connection,
                "works",
                [f"site={site}"],
                "UTC",
                _local(start),
                _local(start + length),
                None,
                "operator",
                self.now,
            )
        self._add_hold(number, site, None, start, start + length, True)

    def _add_hold(
        self,
        number: int,
        site: str | None,
        sensor: Sensor | None,
        start: int,
        stop: int,
        maintenance: bool,
    ) -> None:
        def covers(mac: int) -> bool:
            return self.sensors[mac].site == site if site else self.sensors[mac] is sensor

        self.message_checks.holds.append(Hold(number, covers, self.now, start, stop, maintenance))

    def end_hold(self, holds: Hold) -> None:
        """End a silence or maintenance early."""
        if holds.stop > self.now:
            end = silences.end_maintenance if holds.maintenance else silences.end_silence
            with writing(self.files.engine) as connection:
                assert end(connection, holds.number, self.now)
            holds.stop = self.now

    # --- Processes ---------------------------------------------------------------------------

    def add_host(self) -> IngestHost:
        """Add an ingest host."""
        self.hosts.append(IngestHost(f"host {next(self.numbers)}", self.now))
        self.hosts[-1].reached = self.now
        return self.hosts[-1]

    def disconnect(self, host: IngestHost, how: str) -> None:
        """`how`: refuses | crashes | stops | is cut off."""
        if how == "refuses":
            host.refuse(self.now)
        elif how == "crashes":
            host.crash()
        elif how == "stops":
            host.stop_cleanly(self.store, self.now)
        else:
            host.connected = False

    def add_scheduler(self) -> None:
        """Add a scheduler; it leads if no other does."""
        self.schedulers.append(Scheduler(self.files, next(self.numbers)))

    def end_scheduler(self, releases_lease: bool) -> None:
        """End the oldest scheduler; with `releases_lease` it releases its lease."""
        ended = self.schedulers.pop(0)
        if releases_lease:
            ended.leadership.step_down()
        ended.store.close()

    def stall_scheduler(self, queries: int, length: int) -> None:
        """Suspend the oldest scheduler in its next sweep, after this many store queries."""
        store = self.schedulers[0].store
        store.queries, store.callback = queries, partial(self.tick, length)

    def add_notifier(self) -> None:
        """Add a notifier."""
        self.notifiers.append(Notifier(self.files, self.recipients))

    def stall_notifier(self, recipient: Recipient, length: int, then: Behaviour | None) -> None:
        """Delay the next send to this recipient by `length`; `then`: the behaviour afterwards."""

        def callback() -> Behaviour | None:
            try:
                self._note_disturbance()
                self.figures["notifiers delayed while sending"] += 1
                self.tick(length)
            except AssertionError as error:
                self._failure = self._failure or error
            return then

        recipient.callback = callback

    # --- The end -----------------------------------------------------------------------------

    def settle(self) -> None:
        """End every failure and wait; then check that all outages and recoveries were reported."""
        self._repair()
        self._until_nothing_is_pending(6 * MINUTE)
        flapping = [
            row.threshold for row in self.message_checks.incidents.values() if row.is_flapping
        ]
        if flapping:
            self._until_nothing_is_pending(flapping_window(max(flapping)))
        self.message_checks.check_all_notified(self.now)
        for sensor in self.sensors.values():
            if sensor.has_live_heartbeat(self.now):
                sensor.resume(self.now + SECOND)
            if sensor.interval > 0.95 * sensor.threshold:
                self.set_threshold(sensor, 2 * sensor.interval)
        self._until_nothing_is_pending(3 * MINUTE)
        self.message_checks.check_all_recovered()

    def _until_nothing_is_pending(self, at_least: int) -> None:
        self.tick(at_least)
        for _ in range(_MOST_TICKS):
            due = [row.next_attempt_at for row in self.message_checks.rows.pending()]
            if not due:
                return
            self.tick(min(max(min(due) - self.now, 30 * SECOND), HOUR))

    def _repair(self) -> None:
        for scheduler in self.schedulers:
            scheduler.store.unavailable, scheduler.store.callback = False, None
        for recipient in self.recipients:
            recipient.behaviour, recipient.callback = Behaviour.ACCEPT, None
        for host in self.hosts:
            host.repair(self.now)
        if not self.schedulers:
            self.add_scheduler()
        if not self.notifiers:
            self.add_notifier()
