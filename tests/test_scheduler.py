"""A scheduler judges only with the lease and a correct clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, literal, select

from monitor.clock import Clock
from monitor.incidents.service import Alerting
from monitor.model import DAY, HOUR, MINUTE, SECOND
from monitor.scheduler import Leadership
from monitor.staleness.sweep import Options, Sweep
from monitor.state import leases
from monitor.state.database import reading, writing
from monitor.state.retention import RetentionConfig
from monitor.state.tables import incident, notification
from monitor.store.interface import CoverageSpan
from tests.cases import Cases
from tests.delivering import watch
from tests.staleness.test_sweep import FailingStore
from tests.states import new_state, state, state_url


class SettableClock(Clock):
    """A clock that the test sets."""

    ahead = 0

    def now(self) -> int:
        return super().now() + self.ahead


class Rig:
    """One scheduler on a store that can fail; two rigs of one directory and state share the
    lease."""

    def __init__(self, directory: Path, state: Engine | None = None, name: str = "me") -> None:
        self.store = FailingStore(directory / "heartbeats.sqlite", 30 * DAY, writable=True)
        self.store.migrate()
        self.engine: Engine = state or new_state(directory / "state.sqlite")
        self.clock = SettableClock()
        options = Options(10 * MINUTE, 15 * MINUTE, 30 * DAY)
        alerting = Alerting(("email",), 30 * SECOND, 5 * MINUTE)
        self.sweep = Sweep(self.store, self.engine, options, alerting, watch("email"))
        kept = RetentionConfig(400 * DAY, 400 * DAY)
        self.leadership = Leadership(
            self.engine, self.sweep, self.clock, name, 5 * SECOND, kept=kept
        )
        self.began = self.clock.now()

    def report_coverage(self) -> None:
        """Report coverage until now."""
        self.store.add_coverage(CoverageSpan("here", self.began, self.clock.now(), False))

    def ticks(self, duration: int) -> None:
        """Let time pass with a tick every 5 s."""
        for _ in range(duration // (5 * SECOND)):
            self.clock.ahead += 5 * SECOND
            self.leadership.tick()

    def leads(self) -> bool:
        lease = leases.acquire(self.engine, "scheduler", "other", 15 * SECOND)
        if lease:
            leases.release(self.engine, lease)
        return lease is None

    def subjects(self) -> list[str]:
        with reading(self.engine) as connection:
            rows = connection.execute(select(notification.c.body).order_by(notification.c.id))
            return [row.body["subject"] for row in rows]


__all__ = ["state", "state_url"]


@pytest.fixture
def rig(tmp_path: Path, state: Engine) -> Iterator[Rig]:
    rig = Rig(tmp_path, state)
    yield rig
    rig.store.close()


def test_scheduler_with_wrong_clock_stands_down_until_it_is_corrected(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.leadership.tick()
    assert rig.leads()
    offset: list[int] = [-HOUR]
    monkeypatch.setattr(rig.store, "ping", lambda: Clock().now() + offset[0])
    rig.leadership.tick()
    assert not rig.leads()
    offset[0] = 3 * SECOND
    rig.leadership.tick()
    assert rig.leads()


def test_long_store_outage_and_its_end_are_each_reported_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.report_coverage()
    rig.leadership.tick()
    monkeypatch.setattr(rig.store, "ping", rig.clock.now)
    rig.store.failing = "coverage"
    rig.ticks(100 * SECOND)
    assert [subject[:32] for subject in rig.subjects()] == ["Monitoring has been behind since"]
    rig.store.failing = ""
    rig.report_coverage()
    for _ in range(3):
        rig.clock.ahead += SECOND
        rig.leadership.tick()
    subjects = rig.subjects()
    assert len(subjects) == 2
    assert subjects[1].startswith("Monitoring was behind between")


def test_lease_from_before_a_clock_set_back_does_not_block(rig: Rig) -> None:
    lease = leases.acquire(rig.engine, "scheduler", "a dead one", 15 * SECOND)
    assert lease
    with writing(rig.engine) as connection:
        leases._set_expiry(connection, lease, literal(Clock().now() + HOUR))
    rig.leadership.tick()
    assert rig.leads()


def test_only_the_leader_deletes_old_rows(tmp_path: Path, state: Engine) -> None:
    leader, other = Rig(tmp_path, state, "one"), Rig(tmp_path, state, "two")
    leader.leadership.tick()
    other.leadership.tick()
    over = leader.clock.now() - 500 * DAY
    cases = Cases(state, over)
    cases.incident(1, cases.group(), closed_at=over)

    def there() -> int:
        with reading(state) as connection:
            return len(connection.scalars(select(incident.c.id)).all())

    other.leadership.tidy()
    assert there() == 1
    leader.leadership.tidy()
    assert there() == 0
