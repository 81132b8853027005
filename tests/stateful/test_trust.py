"""Whatever happens to sensors, doors, schedulers, notifiers and recipients: alerts people trust."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from monitor.model import MINUTE, SECOND
from tests.stateful.parts import Files
from tests.stateful.recipients import Mood
from tests.stateful.sensors import Sensor
from tests.stateful.world import World

EXAMPLES = int(os.environ.get("MONITOR_TEST_EXAMPLES", "500"))
STEPS = 18

T = TypeVar("T")

any_of = st.integers(0, 11)
thresholds = st.sampled_from([2 * MINUTE, 3 * MINUTE, 5 * MINUTE])
shares = st.sampled_from([0.1, 0.5, 0.7, 0.9, 0.95])
sites = st.sampled_from([None, "Hall A", "Hall B"])
lengths = st.sampled_from([5 * SECOND, 15 * SECOND, 40 * SECOND, MINUTE, 2 * MINUTE])


ways = st.sampled_from(["refuses", "crashes", "stops", "is cut off"])
"""To be away."""


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    files = Files()
    logging.disable(logging.CRITICAL)
    yield files
    logging.disable(logging.NOTSET)
    files.remove()


def one_of(those: Sequence[T], number: int) -> T:
    """Any number means one of them."""
    return those[number % len(those)]


def machine_on(files: Files, figures: Counter[str]) -> type[RuleBasedStateMachine]:
    """The rules, on these files; what happened is counted in `figures`."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.world = World(files, figures)
            figures["examples"] += 1

        @property
        def sensors(self) -> list[Sensor]:
            return list(self.world.sensors.values())

        @initialize(
            fleet=st.lists(
                st.tuples(thresholds, shares, sites, any_of, st.booleans()), min_size=2, max_size=4
            ),
            two_doors=st.booleans(),
            escalates=st.booleans(),
        )
        def begin(
            self,
            fleet: list[tuple[int, float, str | None, int, bool]],
            two_doors: bool,
            escalates: bool,
        ) -> None:
            if escalates:
                self.world.escalate()
            if two_doors:
                self.world.add_door()
            for threshold, share, site, door, others in fleet:
                self.world.add_sensor(threshold, share, site, door % (1 + two_doors), others, True)
            self.world.tick(10 * SECOND)

        # --- Time

        @rule(count=st.integers(1, 6), length=lengths)
        def time_passes(self, count: int, length: int) -> None:
            for _ in range(count):
                self.world.tick(length)

        @rule(minutes=st.sampled_from([5, 7, 12, 45]))
        def much_time_passes(self, minutes: int) -> None:
            self.world.tick(minutes * MINUTE - MINUTE)
            self.world.tick(MINUTE)

        # --- Sensors

        @rule(
            threshold=thresholds,
            share=shares,
            site=sites,
            door=any_of,
            others=st.booleans(),
            live=st.booleans(),
        )
        @precondition(lambda self: len(self.world.sensors) < 7)
        def a_sensor_is_new(
            self,
            threshold: int,
            share: float,
            site: str | None,
            door: int,
            others: bool,
            live: bool,
        ) -> None:
            door %= len(self.world.doors)
            self.world.add_sensor(threshold, share, site, door, others, live)

        @rule(number=any_of)
        def a_sensor_dies(self, number: int) -> None:
            one_of(self.sensors, number).alive = False

        @rule(
            number=any_of,
            more=st.sampled_from([SECOND, MINUTE, 4 * MINUTE]),
            times=st.sampled_from([1, 1, 1, 3, 4]),
            returns=st.booleans(),
            mood=st.sampled_from(Mood),
            late=st.booleans(),
        )
        def a_sensor_falls_silent(
            self, number: int, more: int, times: int, returns: bool, mood: Mood, late: bool
        ) -> None:
            sensor = one_of(self.sensors, number)
            recipient = one_of(self.world.recipients, number)
            recipient.mood = Mood.ACCEPT if late else mood
            for again in reversed(range(times)):
                sensor.alive = False
                self.world.tick(sensor.threshold)
                self.world.tick(more)
                recipient.mood = mood
                if returns or again:
                    sensor.revive(self.world.now + SECOND)
                    self.world.tick(MINUTE)

        @rule()
        def all_sensors_die(self) -> None:
            for sensor in self.world.sensors.values():
                sensor.alive = False

        @rule(number=any_of)
        def a_sensor_returns(self, number: int) -> None:
            one_of(self.sensors, number).revive(self.world.now + SECOND)

        @rule(number=any_of, ago=st.sampled_from([0, MINUTE, 10 * MINUTE]))
        def a_sensor_is_known_to_have_lived(self, number: int, ago: int) -> None:
            self.world.report_history(one_of(self.sensors, number), ago)

        @rule(number=any_of, threshold=thresholds)
        def a_threshold_changes(self, number: int, threshold: int) -> None:
            self.world.set_threshold(one_of(self.sensors, number), threshold)

        @rule(number=any_of, paused=st.booleans())
        def a_sensor_is_paused_or_resumed(self, number: int, paused: bool) -> None:
            self.world.pause(one_of(self.sensors, number), paused)

        # --- People

        @rule(number=any_of)
        def somebody_acknowledges(self, number: int) -> None:
            rows = [row for row in self.world.told.incidents.values() if row.closed_at is None]
            if rows:
                self.world.acknowledge(one_of(rows, number))

        @rule(
            site=sites,
            number=any_of,
            delay=st.sampled_from([0, MINUTE]),
            length=st.sampled_from([2 * MINUTE, 10 * MINUTE]),
        )
        def somebody_wants_silence(
            self, site: str | None, number: int, delay: int, length: int
        ) -> None:
            silent = [sensor for sensor in self.sensors if not sensor.alive]
            self.world.silence(site, one_of(silent or self.sensors, number), delay, length)

        @rule(
            site=sites.filter(bool),
            length=st.sampled_from([2 * MINUTE, 10 * MINUTE]),
        )
        @precondition(lambda self: not any(each.maintenance for each in self.world.told.quiet))
        def somebody_maintains_a_site(self, site: str, length: int) -> None:
            self.world.maintain(site, length)

        @rule(number=any_of)
        def somebody_ends_a_silence(self, number: int) -> None:
            lasting = [each for each in self.world.told.quiet if each.stop > self.world.now]
            if lasting:
                self.world.end_quiet(one_of(lasting, number))
                self.world.tick(2 * MINUTE)

        # --- Doors

        @rule()
        @precondition(lambda self: len(self.world.doors) < 2)
        def a_door_is_new(self) -> None:
            self.world.add_door()

        @rule(number=any_of)
        def a_door_crashes(self, number: int) -> None:
            one_of(self.world.doors, number).crash()

        @rule(number=any_of)
        def a_door_stops_cleanly(self, number: int) -> None:
            door = one_of(self.world.doors, number)
            if door.running:
                door.farewell(self.world.store, self.world.now)

        @rule(number=any_of, slowly=st.booleans())
        def a_door_starts(self, number: int, slowly: bool) -> None:
            door = one_of(self.world.doors, number)
            if not door.running:
                door.start(self.world.now)
                door.pace = 1 if slowly else None

        @rule(number=any_of)
        def a_door_refuses_or_takes_again(self, number: int) -> None:
            door = one_of(self.world.doors, number)
            if door.refusing:
                door.accept(self.world.now)
            elif door.running:
                door.refuse(self.world.now)

        @rule(number=any_of, slowly=st.booleans())
        def a_door_is_cut_off_or_connected_again(self, number: int, slowly: bool) -> None:
            door = one_of(self.world.doors, number)
            door.connected = not door.connected
            door.pace = 1 if slowly and door.connected else None

        @rule(
            number=any_of,
            how=ways,
            rounds=st.sampled_from([9, 14]),
            returns=st.booleans(),
            slowly=st.booleans(),
        )
        @precondition(lambda self: len(self.world.doors) > 1)
        def a_door_is_away_for_long(
            self, number: int, how: str, rounds: int, returns: bool, slowly: bool
        ) -> None:
            door = one_of(self.world.doors, number)
            if not (door.listens and door.connected):
                return
            self.world.take_away(door, how)
            for _ in range(rounds):
                self.world.tick(15 * SECOND)
            if rounds > 9:
                self.world.tick(5 * MINUTE)
            if returns:
                door.repair(self.world.now)
                door.pace = 1 if slowly else None
                self.world.tick(15 * SECOND)
                self.world.tick(15 * SECOND)
                self.world.tick(2 * MINUTE)

        @rule(
            number=any_of,
            how=ways,
            ticks=st.lists(lengths, min_size=1, max_size=3),
            well=lengths,
        )
        def a_door_is_away_for_a_while(
            self, number: int, how: str, ticks: list[int], well: int
        ) -> None:
            door = one_of(self.world.doors, number)
            if not (door.listens and door.connected):
                return
            self.world.take_away(door, how)
            for length in ticks:
                self.world.tick(length)
            door.repair(self.world.now)
            self.world.tick(well)
            self.world.tick(2 * MINUTE)

        @rule(number=any_of, rounds=st.integers(1, 7))
        def monitoring_is_interrupted_again_and_again(self, number: int, rounds: int) -> None:
            sensor = one_of(self.sensors, number)
            door = sensor.doors[0]
            if not door.listens:
                return
            for _ in range(rounds):
                door.refuse(self.world.now)
                self.world.tick(5 * SECOND)
                door.accept(self.world.now)
                self.world.tick(round(0.9 * sensor.threshold))

        # --- Schedulers

        @rule(away=st.booleans(), number=any_of)
        def the_store_is_out_of_reach_or_back(self, away: bool, number: int) -> None:
            schedulers = self.world.schedulers
            one_of(schedulers, number).store.away = away

        @rule(kindly=st.booleans())
        def the_scheduler_is_started_anew(self, kindly: bool) -> None:
            self.world.end_scheduler(kindly)
            self.world.add_scheduler()

        @rule()
        @precondition(lambda self: len(self.world.schedulers) < 2)
        def a_scheduler_stands_by(self) -> None:
            self.world.add_scheduler()

        @rule(kindly=st.booleans())
        @precondition(lambda self: len(self.world.schedulers) > 1)
        def a_scheduler_ends(self, kindly: bool) -> None:
            self.world.end_scheduler(kindly)

        @rule(
            number=any_of,
            questions=st.integers(0, 4),
            length=st.sampled_from([30 * SECOND, 5 * MINUTE]),
            returns=st.booleans(),
            alone=st.booleans(),
        )
        def a_scheduler_sleeps_within_a_sweep(
            self, number: int, questions: int, length: int, returns: bool, alone: bool
        ) -> None:
            if not alone and len(self.world.schedulers) < 2:
                self.world.add_scheduler()
            sensor = one_of(self.sensors, number)
            sensor.alive = False
            if returns:
                sensor.revive(self.world.now + sensor.threshold + 90 * SECOND)
            self.world.stall_scheduler(questions, length)
            self.world.tick(sensor.threshold + 30 * SECOND)
            self.world.tick(MINUTE)

        # --- Notifiers and recipients

        @rule(number=any_of, mood=st.sampled_from(Mood))
        def a_recipient_changes_its_mood(self, number: int, mood: Mood) -> None:
            one_of(self.world.recipients, number).mood = mood

        @rule(
            number=any_of,
            what=st.sampled_from(["silence", "acknowledge", "return", "pause"]),
            length=lengths,
        )
        def something_happens_while_a_message_waits(
            self, number: int, what: str, length: int
        ) -> None:
            sensor = one_of(self.sensors, number)
            recipient = one_of(self.world.recipients, number)
            recipient.mood, sensor.alive = Mood.FAIL, False
            self.world.tick(sensor.threshold + MINUTE)
            self.world.tick(MINUTE)
            if what == "silence":
                self.world.silence(None, sensor, 0, 10 * MINUTE)
            elif what == "acknowledge":
                self.somebody_acknowledges(number)
            elif what == "return":
                sensor.revive(self.world.now + SECOND)
            else:
                self.world.pause(sensor, True)
            self.world.tick(length)
            recipient.mood = Mood.ACCEPT
            self.world.tick(7 * MINUTE)

        @rule(length=lengths)
        def recipients_are_well_again(self, length: int) -> None:
            for recipient in self.world.recipients:
                recipient.mood = Mood.ACCEPT
            self.world.tick(length)

        @rule()
        @precondition(lambda self: len(self.world.notifiers) < 2)
        def a_notifier_is_started(self) -> None:
            self.world.add_notifier()

        @rule(number=any_of, then=st.sampled_from([None, Mood.FAIL]), alone=st.booleans())
        def a_notifier_is_held_up_while_sending(
            self, number: int, then: Mood | None, alone: bool
        ) -> None:
            if not alone and len(self.world.notifiers) < 2:
                self.world.add_notifier()
            recipient, sensor = one_of(self.world.recipients, number), one_of(self.sensors, number)
            recipient.mood, sensor.alive = Mood.ACCEPT, False
            self.world.stall_notifier(recipient, 2 * MINUTE, then)
            self.world.tick(sensor.threshold + MINUTE)
            self.world.tick(MINUTE)

        def check_invariants(self, *arguments: Any, **options: Any) -> None:
            figures["steps"] += 1
            super().check_invariants(*arguments, **options)

        def teardown(self) -> None:
            try:
                if sys.exc_info()[0] is None:
                    self.world.settle()
            finally:
                self.world.end()

    return Machine


@pytest.mark.timeout(60 + 4 * EXAMPLES)
def test_every_outage_is_told_once_and_no_living_sensor_is_reported(files: Files) -> None:
    figures: Counter[str] = Counter()
    run_state_machine_as_test(
        machine_on(files, figures),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # The same ones each time, unless somebody asks for more of them.
            derandomize="MONITOR_TEST_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print("\n".join(f"{count:>9,} {what}" for what, count in sorted(figures.items())))
