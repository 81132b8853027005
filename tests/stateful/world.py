"""The service and all around it in one clock: sensors, doors, schedulers, notifiers, recipients."""

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
from tests.stateful.doors import Door
from tests.stateful.judge import Judge
from tests.stateful.parts import RETENTION, Died, Files
from tests.stateful.processes import (
    CHANNELS,
    GROUP_INTERVAL,
    GROUP_WAIT,
    LOST_AFTER,
    REMIND_AFTER,
    Notifier,
    Scheduler,
)
from tests.stateful.quiet import Quiet
from tests.stateful.recipients import Arrival, Mood, Recipient
from tests.stateful.rows import Incident, Rows
from tests.stateful.sensors import Sensor
from tests.stateful.told import Promises, Told

ESCALATING_SITE = "Hall A"
ESCALATE_AFTER = 5 * MINUTE
_ENOUGH = 50


def flapping_window(threshold: int) -> int:
    """Ten minutes, and room for six thresholds at least."""
    return max(10 * MINUTE, 6 * threshold)


def _local(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / SECOND, UTC):%Y-%m-%dT%H:%M}"


class World:
    """One example. Its methods are what can happen; the judge watches all of it."""

    def __init__(self, files: Files, figures: Counter[str]) -> None:
        files.begin()
        self.files, self.figures = files, figures
        self.store = SqliteStore(files.store, RETENTION, writable=True)
        self.state = sqlite3.connect(files.state, isolation_level=None, check_same_thread=False)
        self.sensors: dict[int, Sensor] = {}
        self.doors: list[Door] = []
        self.schedulers: list[Scheduler] = []
        self.recipients = [Recipient(name, self) for name in CHANNELS]
        self.escalates = False
        rows = Rows(self.state)
        self.judge = Judge(rows, self.sensors, self.doors, LOST_AFTER, flapping_window, figures)
        promises = Promises(
            max(GROUP_WAIT, GROUP_INTERVAL), REMIND_AFTER, ESCALATE_AFTER, flapping_window
        )
        self.told = Told(rows, self.recipients, promises, self._escalates_to, figures)
        self.notifiers: list[Notifier] = []
        self.calm_since = 0
        self._broken: Exception | None = None
        self.numbers = itertools.count(1)
        self.add_door()
        self.add_scheduler()
        self.add_notifier()

    def end(self) -> None:
        """Close what is open."""
        self.state.close()
        self.store.close()
        for scheduler in self.schedulers:
            scheduler.store.close()

    @property
    def now(self) -> int:
        """The moment."""
        return self.files.hand.time

    # --- Time --------------------------------------------------------------------------------

    def tick(self, length: int) -> None:
        """`length` ms pass; then everybody looks once."""
        began = self.now
        self.files.hand.time += length
        now = self.now
        due = [beat for sensor in self.sensors.values() for beat in sensor.beat_until(now)]
        for moment, sensor in sorted(due, key=lambda beat: beat[0]):
            sensor.send(moment, moment)
        for door in self.doors:
            door.ship(self.store, now)
        self.judge.time_passed(began, now)
        for scheduler in list(self.schedulers):
            scheduler.tick()
            self.judge.after_sweep(self.now)
            self.told.read()
        self._deliver()
        self.figures["ticks"] += 1

    def _deliver(self) -> None:
        if not self.told.rows.any_owed():
            return  # as the notifiers would find; asking them would take most of the time
        for notifier in list(self.notifiers):
            try:
                notifier.tick(self.now)
            except Died:
                self.notifiers.remove(notifier)
                self._disturb()
                self.figures["notifiers that died"] += 1
        if self._broken:
            raise self._broken
        if all(notifier.busy for notifier in self.notifiers):
            self._disturb()
        self.told.after_delivery(self.now, self.calm_since)

    def _disturb(self) -> None:
        """A claim may have to run out first."""
        self.calm_since = self.now + delivery.CLAIM

    def arrived(self, arrival: Arrival) -> None:
        """A recipient got a message; an exception would be taken for a fault of the channel."""
        try:
            self.told.arrived(arrival)
        except AssertionError as error:
            self._broken = self._broken or error

    def kill_notifier(self) -> None:
        """The one that is sending does nothing more."""
        self.files.mortal = True

    def _escalates_to(self, mac: int, channel: str) -> bool:
        there = self.sensors[mac].site == ESCALATING_SITE
        return self.escalates and there and channel == CHANNELS[1]

    # --- Sensors -----------------------------------------------------------------------------

    def add_sensor(
        self, threshold: int, share: float, site: str | None, first: int, others: bool, live: bool
    ) -> Sensor:
        """One more: it reports each `share` of its threshold to the door numbered `first`, and
        if wanted to `others` when that does not answer; not `live`: others report of it."""
        mac = 0x020000000000 + next(self.numbers)
        doors = self.doors[first:] + self.doors[:first]
        sensor = Sensor(
            mac,
            site,
            threshold,
            round(threshold * share),
            tuple(doors if others else doors[:1]),
            self.now + 1 + mac % 7 * SECOND,
            alive=live,
        )
        self.sensors[mac] = sensor
        self._configure(sensor, threshold=threshold, site=site)
        return sensor

    def report_history(self, sensor: Sensor, ago: int) -> None:
        """A gateway says when it heard this sensor."""
        sensor.send(self.now - ago, self.now, live=False)

    def set_threshold(self, sensor: Sensor, threshold: int) -> None:
        """Somebody changes it."""
        sensor.threshold = threshold
        self._configure(sensor, threshold=threshold)

    def pause(self, sensor: Sensor, paused: bool) -> None:
        """Somebody wants to hear nothing of it, or again."""
        sensor.paused = paused
        self._configure(sensor, paused=paused)

    def _configure(self, sensor: Sensor, **values: object) -> None:
        with writing(self.files.engine) as connection:
            version = sensor_rows.next_version(connection)
            sensor_rows.configure(connection, sensor.mac, version, **values)

    # --- People ------------------------------------------------------------------------------

    def escalate(self) -> None:
        """One site's outages go to the second channel only when nobody acknowledges."""
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
        """Someone acknowledges it."""
        acknowledge(self.files.engine, "anna", [row.id], self.now)
        self.told.read()

    def silence(self, site: str | None, sensor: Sensor, delay: int, length: int) -> None:
        """Leave somebody alone about a site, or else about one sensor."""
        start = self.now + delay
        with writing(self.files.engine) as connection:
            number = silences.add_silence(
                connection,
                [f"site={site}" if site else f"mac={format_mac(sensor.mac)}"],
                start,
                start + length,
                "told so",
                "operator",
                self.now,
            )
        self._quieten(number, site, sensor, start, start + length, False)

    def maintain(self, site: str, length: int) -> None:
        """From this minute on work is done at a site."""
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
        self._quieten(number, site, None, start, start + length, True)

    def _quieten(
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

        self.told.quiet.append(Quiet(number, covers, self.now, start, stop, maintenance))

    def end_quiet(self, quiet: Quiet) -> None:
        """Somebody ends it before its time."""
        if quiet.stop > self.now:
            end = silences.end_maintenance if quiet.maintenance else silences.end_silence
            with writing(self.files.engine) as connection:
                assert end(connection, quiet.number, self.now)
            quiet.stop = self.now

    # --- Processes ---------------------------------------------------------------------------

    def add_door(self) -> Door:
        """One more web host."""
        self.doors.append(Door(f"door {next(self.numbers)}", self.now))
        self.doors[-1].reached = self.now
        return self.doors[-1]

    def take_away(self, door: Door, how: str) -> None:
        """It refuses | crashes | stops | is cut off."""
        if how == "refuses":
            door.refuse(self.now)
        elif how == "crashes":
            door.crash()
        elif how == "stops":
            door.farewell(self.store, self.now)
        else:
            door.connected = False

    def add_scheduler(self) -> None:
        """One more, which leads if nobody else does."""
        self.schedulers.append(Scheduler(self.files, next(self.numbers)))

    def end_scheduler(self, kindly: bool) -> None:
        """The oldest is no more; `kindly`: it gives back the lease."""
        ended = self.schedulers.pop(0)
        if kindly:
            ended.leadership.step_down()
        ended.store.close()

    def stall_scheduler(self, questions: int, length: int) -> None:
        """In its next sweep, after so many questions to the store, the oldest one sleeps."""
        store = self.schedulers[0].store
        store.questions, store.interlude = questions, partial(self.tick, length)

    def add_notifier(self) -> None:
        """One more."""
        self.notifiers.append(Notifier(self.files, self.recipients))

    def stall_notifier(self, recipient: Recipient, length: int, then: Mood | None) -> None:
        """Whoever sends to this recipient next is held up for so long, `then` it goes so."""

        def interlude() -> Mood | None:
            try:
                self._disturb()
                self.figures["notifiers held up while sending"] += 1
                self.tick(length)
            except AssertionError as error:
                self._broken = self._broken or error
            return then

        recipient.interlude = interlude

    # --- The end -----------------------------------------------------------------------------

    def settle(self) -> None:
        """All goes well for long enough; then everybody knows of what lasts, and of its end."""
        self._repair()
        self._until_nothing_is_owed(6 * MINUTE)
        flapping = [row.threshold for row in self.told.incidents.values() if row.lasts_flapping]
        if flapping:
            self._until_nothing_is_owed(flapping_window(max(flapping)))
        self.told.all_told(self.now)
        for sensor in self.sensors.values():
            if sensor.known_live(self.now):
                sensor.revive(self.now + SECOND)
            if sensor.interval > 0.95 * sensor.threshold:
                self.set_threshold(sensor, 2 * sensor.interval)
        self._until_nothing_is_owed(3 * MINUTE)
        self.told.all_over()

    def _until_nothing_is_owed(self, at_least: int) -> None:
        self.tick(at_least)
        for _ in range(_ENOUGH):
            due = [row.next_attempt_at for row in self.told.rows.owed()]
            if not due:
                return
            self.tick(min(max(min(due) - self.now, 30 * SECOND), HOUR))

    def _repair(self) -> None:
        for scheduler in self.schedulers:
            scheduler.store.away, scheduler.store.interlude = False, None
        for recipient in self.recipients:
            recipient.mood, recipient.interlude = Mood.ACCEPT, None
        for door in self.doors:
            door.repair(self.now)
        if not self.schedulers:
            self.add_scheduler()
        if not self.notifiers:
            self.add_notifier()
