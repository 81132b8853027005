"""Alerts are correct under random failures of sensors, hosts, schedulers and recipients."""

import functools
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import hypothesis.stateful
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    run_state_machine_as_test,
)

from monitor.model import MINUTE, SECOND
from tests.stateful.parts import Files
from tests.stateful.recipients import Behaviour
from tests.stateful.sensors import Sensor
from tests.stateful.world import World

EXAMPLES = int(os.environ.get("MONITOR_TEST_EXAMPLES", "100"))
STEPS = 18

RULES: set[str] = set()
"""Names of the rules; each must fire."""

T = TypeVar("T")

indexes = st.integers(0, 11)
thresholds = st.sampled_from([2 * MINUTE, 3 * MINUTE, 5 * MINUTE])
shares = st.sampled_from([0.1, 0.5, 0.7, 0.9, 0.95])
sites = st.sampled_from([None, "Hall A", "Hall B"])
lengths = st.sampled_from([5 * SECOND, 15 * SECOND, 40 * SECOND, MINUTE, 2 * MINUTE])


failures = st.sampled_from(["refuses", "crashes", "stops", "is cut off"])
"""Failures of a host."""


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    files = Files()
    logging.disable(logging.CRITICAL)
    yield files
    logging.disable(logging.NOTSET)
    files.remove()


def pick(items: Sequence[T], number: int) -> T:
    """The item at `number`, modulo their count."""
    return items[number % len(items)]


def rule(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Hypothesis' `rule`; the machine's figures count how often it fired."""

    def decorate(step: Callable[..., None]) -> Any:
        @functools.wraps(step)
        def counting(self: Any, *positional: Any, **given: Any) -> None:
            self.world.figures[step.__name__] += 1
            step(self, *positional, **given)

        RULES.add(step.__name__)
        add_rule: Any = hypothesis.stateful.rule
        return add_rule(**arguments)(counting)

    return decorate


def machine_of(files: Files, figures: Counter[str]) -> type[RuleBasedStateMachine]:
    """A state machine with these files, which counts events in `figures`."""

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
                st.tuples(thresholds, shares, sites, indexes, st.booleans()), min_size=2, max_size=4
            ),
            two_hosts=st.booleans(),
            escalates=st.booleans(),
        )
        def begin(
            self,
            fleet: list[tuple[int, float, str | None, int, bool]],
            two_hosts: bool,
            escalates: bool,
        ) -> None:
            if escalates:
                self.world.escalate()
            if two_hosts:
                self.world.add_host()
            for threshold, share, site, host, others in fleet:
                self.world.add_sensor(threshold, share, site, host % (1 + two_hosts), others, True)
            self.world.tick(10 * SECOND)

        # --- Time

        @rule(count=st.integers(1, 6), length=lengths)
        def let_time_pass(self, count: int, length: int) -> None:
            for _ in range(count):
                self.world.tick(length)

        @rule(minutes=st.sampled_from([5, 7, 12, 45]))
        def let_much_time_pass(self, minutes: int) -> None:
            self.world.tick(minutes * MINUTE - MINUTE)
            self.world.tick(MINUTE)

        # --- Sensors

        @rule(
            threshold=thresholds,
            share=shares,
            site=sites,
            host=indexes,
            others=st.booleans(),
            live=st.booleans(),
        )
        @precondition(lambda self: len(self.world.sensors) < 7)
        def add_sensor(
            self,
            threshold: int,
            share: float,
            site: str | None,
            host: int,
            others: bool,
            live: bool,
        ) -> None:
            host %= len(self.world.hosts)
            self.world.add_sensor(threshold, share, site, host, others, live)

        @rule(number=indexes)
        def stop_sensor(self, number: int) -> None:
            pick(self.sensors, number).alive = False

        @rule(
            number=indexes,
            more=st.sampled_from([SECOND, MINUTE, 4 * MINUTE]),
            times=st.sampled_from([1, 1, 1, 3, 4]),
            returns=st.booleans(),
            behaviour=st.sampled_from(Behaviour),
            late=st.booleans(),
        )
        def silence_sensor_for_a_while(
            self,
            number: int,
            more: int,
            times: int,
            returns: bool,
            behaviour: Behaviour,
            late: bool,
        ) -> None:
            sensor = pick(self.sensors, number)
            recipient = pick(self.world.recipients, number)
            recipient.behaviour = Behaviour.ACCEPT if late else behaviour
            for again in reversed(range(times)):
                sensor.alive = False
                self.world.tick(sensor.threshold)
                self.world.tick(more)
                recipient.behaviour = behaviour
                if returns or again:
                    sensor.resume(self.world.now + SECOND)
                    self.world.tick(MINUTE)

        @rule()
        def stop_all_sensors(self) -> None:
            for sensor in self.world.sensors.values():
                sensor.alive = False

        @rule(number=indexes)
        def resume_sensor(self, number: int) -> None:
            pick(self.sensors, number).resume(self.world.now + SECOND)

        @rule(number=indexes, ago=st.sampled_from([0, MINUTE, 10 * MINUTE]))
        def report_history(self, number: int, ago: int) -> None:
            self.world.report_history(pick(self.sensors, number), ago)

        @rule(number=indexes, threshold=thresholds)
        def change_threshold(self, number: int, threshold: int) -> None:
            self.world.set_threshold(pick(self.sensors, number), threshold)

        @rule(number=indexes, paused=st.booleans())
        def pause_or_unpause_sensor(self, number: int, paused: bool) -> None:
            self.world.pause(pick(self.sensors, number), paused)

        # --- People

        @rule(number=indexes)
        def acknowledge_incident(self, number: int) -> None:
            rows = [
                row for row in self.world.message_checks.incidents.values() if row.closed_at is None
            ]
            if rows:
                self.world.acknowledge(pick(rows, number))

        @rule(
            site=sites,
            number=indexes,
            delay=st.sampled_from([0, MINUTE]),
            length=st.sampled_from([2 * MINUTE, 10 * MINUTE]),
        )
        def add_silence(self, site: str | None, number: int, delay: int, length: int) -> None:
            silent = [sensor for sensor in self.sensors if not sensor.alive]
            self.world.silence(site, pick(silent or self.sensors, number), delay, length)

        @rule(
            site=sites.filter(bool),
            length=st.sampled_from([2 * MINUTE, 10 * MINUTE]),
        )
        @precondition(
            lambda self: not any(each.maintenance for each in self.world.message_checks.holds)
        )
        def add_maintenance(self, site: str, length: int) -> None:
            self.world.maintain(site, length)

        @rule(number=indexes)
        def end_silence(self, number: int) -> None:
            lasting = [
                each for each in self.world.message_checks.holds if each.stop > self.world.now
            ]
            if lasting:
                self.world.end_hold(pick(lasting, number))
                self.world.tick(2 * MINUTE)

        # --- Ingest hosts

        @rule()
        @precondition(lambda self: len(self.world.hosts) < 2)
        def add_host(self) -> None:
            self.world.add_host()

        @rule(number=indexes)
        def crash_host(self, number: int) -> None:
            pick(self.world.hosts, number).crash()

        @rule(number=indexes)
        def stop_host(self, number: int) -> None:
            host = pick(self.world.hosts, number)
            if host.running:
                host.stop_cleanly(self.world.store, self.world.now)

        @rule(number=indexes, slowly=st.booleans())
        def start_host(self, number: int, slowly: bool) -> None:
            host = pick(self.world.hosts, number)
            if not host.running:
                host.start(self.world.now)
                host.pace = 1 if slowly else None

        @rule(number=indexes)
        def toggle_refusal_of_host(self, number: int) -> None:
            host = pick(self.world.hosts, number)
            if host.refusing:
                host.accept(self.world.now)
            elif host.running:
                host.refuse(self.world.now)

        @rule(number=indexes, slowly=st.booleans())
        def toggle_connection_of_host(self, number: int, slowly: bool) -> None:
            host = pick(self.world.hosts, number)
            host.connected = not host.connected
            host.pace = 1 if slowly and host.connected else None

        @rule(
            number=indexes,
            how=failures,
            rounds=st.sampled_from([9, 14]),
            returns=st.booleans(),
            slowly=st.booleans(),
        )
        @precondition(lambda self: len(self.world.hosts) > 1)
        def disconnect_host_for_long(
            self, number: int, how: str, rounds: int, returns: bool, slowly: bool
        ) -> None:
            host = pick(self.world.hosts, number)
            if not (host.is_listening and host.connected):
                return
            self.world.disconnect(host, how)
            for _ in range(rounds):
                self.world.tick(15 * SECOND)
            if rounds > 9:
                self.world.tick(5 * MINUTE)
            if returns:
                host.repair(self.world.now)
                host.pace = 1 if slowly else None
                self.world.tick(15 * SECOND)
                self.world.tick(15 * SECOND)
                self.world.tick(2 * MINUTE)

        @rule(
            number=indexes,
            how=failures,
            ticks=st.lists(lengths, min_size=1, max_size=3),
            well=lengths,
        )
        def disconnect_host_briefly(
            self, number: int, how: str, ticks: list[int], well: int
        ) -> None:
            host = pick(self.world.hosts, number)
            if not (host.is_listening and host.connected):
                return
            self.world.disconnect(host, how)
            for length in ticks:
                self.world.tick(length)
            host.repair(self.world.now)
            self.world.tick(well)
            self.world.tick(2 * MINUTE)

        @rule(number=indexes, rounds=st.integers(1, 7))
        def interrupt_monitoring_repeatedly(self, number: int, rounds: int) -> None:
            sensor = pick(self.sensors, number)
            host = sensor.hosts[0]
            if not host.is_listening:
                return
            for _ in range(rounds):
                host.refuse(self.world.now)
                self.world.tick(5 * SECOND)
                host.accept(self.world.now)
                self.world.tick(round(0.9 * sensor.threshold))

        # --- Schedulers

        @rule(away=st.booleans(), number=indexes)
        def set_store_availability(self, away: bool, number: int) -> None:
            schedulers = self.world.schedulers
            pick(schedulers, number).store.unavailable = away

        @rule(releases_lease=st.booleans())
        def restart_scheduler(self, releases_lease: bool) -> None:
            self.world.end_scheduler(releases_lease)
            self.world.add_scheduler()

        @rule()
        @precondition(lambda self: len(self.world.schedulers) < 2)
        def add_standby_scheduler(self) -> None:
            self.world.add_scheduler()

        @rule(releases_lease=st.booleans())
        @precondition(lambda self: len(self.world.schedulers) > 1)
        def end_scheduler(self, releases_lease: bool) -> None:
            self.world.end_scheduler(releases_lease)

        @rule(
            number=indexes,
            queries=st.integers(0, 4),
            length=st.sampled_from([30 * SECOND, 5 * MINUTE]),
            returns=st.booleans(),
            alone=st.booleans(),
        )
        def suspend_scheduler_in_a_sweep(
            self, number: int, queries: int, length: int, returns: bool, alone: bool
        ) -> None:
            if not alone and len(self.world.schedulers) < 2:
                self.world.add_scheduler()
            sensor = pick(self.sensors, number)
            sensor.alive = False
            if returns:
                sensor.resume(self.world.now + sensor.threshold + 90 * SECOND)
            self.world.stall_scheduler(queries, length)
            self.world.tick(sensor.threshold + 30 * SECOND)
            self.world.tick(MINUTE)

        # --- Notifiers and recipients

        @rule(number=indexes, behaviour=st.sampled_from(Behaviour))
        def change_behaviour_of_recipient(self, number: int, behaviour: Behaviour) -> None:
            pick(self.world.recipients, number).behaviour = behaviour

        @rule(
            number=indexes,
            what=st.sampled_from(["silence", "acknowledge", "return", "pause"]),
            length=lengths,
        )
        def act_while_a_message_is_pending(self, number: int, what: str, length: int) -> None:
            sensor = pick(self.sensors, number)
            recipient = pick(self.world.recipients, number)
            recipient.behaviour, sensor.alive = Behaviour.FAIL, False
            self.world.tick(sensor.threshold + MINUTE)
            self.world.tick(MINUTE)
            if what == "silence":
                self.world.silence(None, sensor, 0, 10 * MINUTE)
            elif what == "acknowledge":
                self.acknowledge_incident(number)
            elif what == "return":
                sensor.resume(self.world.now + SECOND)
            else:
                self.world.pause(sensor, True)
            self.world.tick(length)
            recipient.behaviour = Behaviour.ACCEPT
            self.world.tick(7 * MINUTE)

        @rule(length=lengths)
        def restore_recipients(self, length: int) -> None:
            for recipient in self.world.recipients:
                recipient.behaviour = Behaviour.ACCEPT
            self.world.tick(length)

        @rule()
        @precondition(lambda self: len(self.world.notifiers) < 2)
        def add_notifier(self) -> None:
            self.world.add_notifier()

        @rule(number=indexes, then=st.sampled_from([None, Behaviour.FAIL]), alone=st.booleans())
        def delay_notifier_while_sending(
            self, number: int, then: Behaviour | None, alone: bool
        ) -> None:
            if not alone and len(self.world.notifiers) < 2:
                self.world.add_notifier()
            recipient, sensor = pick(self.world.recipients, number), pick(self.sensors, number)
            recipient.behaviour, sensor.alive = Behaviour.ACCEPT, False
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
def test_every_outage_is_reported_once_and_no_live_sensor_is(files: Files) -> None:
    figures: Counter[str] = Counter()
    run_state_machine_as_test(
        machine_of(files, figures),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print("\n".join(f"{count:>9,} {what}" for what, count in sorted(figures.items())))
    if EXAMPLES >= 100:
        assert not [name for name in RULES if not figures[name]]
