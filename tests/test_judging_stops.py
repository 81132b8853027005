"""When schedulers can't judge, people get one notice, and another scheduler takes over."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from monitor import scheduler
from monitor.model import DAY, HOUR, MINUTE, SECOND
from monitor.staleness.self_monitoring import SelfMonitoring
from monitor.state import horizon, leases
from monitor.state.database import database_now, reading, writing
from monitor.state.tables import lease
from tests.delivering import delivery, watch
from tests.states import state, state_url
from tests.test_scheduler import Rig
from tests.waiting import eventually

__all__ = ["state", "state_url"]

BEHIND = "Monitoring has been behind since"


@pytest.fixture
def rig(tmp_path: Path, state: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A scheduler that has swept, on a store whose clock is the scheduler's."""
    rig = Rig(tmp_path, state)
    monkeypatch.setattr(rig.store, "ping", rig.clock.now)
    rig.report_coverage()
    rig.leadership.tick()
    yield rig
    rig.store.close()


def notices(rig: Rig) -> list[str]:
    return [subject[: len(BEHIND)] for subject in rig.subjects()]


def hindrance(rig: Rig) -> str:
    with reading(rig.engine) as connection:
        return horizon.progress(connection).hindrance


def wrong_clock(rig: Rig, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(rig.store, "ping", lambda: rig.clock.now() + 11 * SECOND)
    return "The clock of me and that of the heartbeat store differ by more than 10 s."


def unforeseen_error(rig: Rig, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(rig.store, "coverage", {}.__getitem__)
    return "The sweep fails with an unexpected error (TypeError). See the scheduler's log."


def store_away(rig: Rig, patch: pytest.MonkeyPatch) -> str:
    rig.store.failing = "arrivals"
    return "The heartbeat store can't be reached, or does not answer in time."


@pytest.mark.parametrize("trouble", [wrong_clock, unforeseen_error, store_away])
def test_one_notice_is_sent_when_the_only_scheduler_cannot_judge(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[[Rig, pytest.MonkeyPatch], str],
) -> None:
    with monkeypatch.context() as patch:
        reason = trouble(rig, patch)
        rig.ticks(55 * SECOND)
        assert notices(rig) == []
        rig.ticks(5 * MINUTE)
        assert notices(rig) == [BEHIND]
        assert hindrance(rig) == reason
    assert caplog.text.count("Traceback") == (trouble is unforeseen_error)
    rig.store.failing = ""
    rig.report_coverage()
    rig.ticks(10 * SECOND)
    assert hindrance(rig) == ""
    assert [subject[:22] for subject in rig.subjects()[1:]] == ["Monitoring was behind "]


@pytest.mark.parametrize("trouble", [wrong_clock, unforeseen_error, store_away])
def test_scheduler_that_cannot_judge_gives_up_the_lease(
    rig: Rig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Rig, pytest.MonkeyPatch], str],
) -> None:
    trouble(rig, monkeypatch)
    rig.leadership.tick()
    other = Rig(tmp_path, rig.engine, "other")
    other.leadership.tick()
    with reading(rig.engine) as connection:
        assert connection.scalar(select(lease.c.holder)) == "other"
    other.store.close()


def lookouts(rig: Rig, *lookouts: SelfMonitoring, duration: int, of: int = 10 * SECOND) -> None:
    """The checks of other processes while time passes and no scheduler runs."""
    for _ in range(duration // of):
        rig.clock.ahead += of
        for each in lookouts:
            each.check_sweeps(rig.engine, rig.clock.now())


def test_two_notifiers_enqueue_one_notice_when_no_scheduler_runs(rig: Rig) -> None:
    first, second = (
        delivery(rig.engine, [], check_sweeps=watch("email").check_sweeps) for _ in range(2)
    )
    for _ in range(12):
        rig.clock.ahead += 10 * SECOND
        for notifier in (first, second):
            notifier.deliver_once(rig.clock.now())
    assert notices(rig) == [BEHIND]


def test_concurrent_notifiers_and_a_scheduler_enqueue_one_notice(rig: Rig) -> None:
    rig.store.failing = "coverage"
    many = [watch("email") for _ in range(4)]
    lookouts(rig, *many, duration=MINUTE)
    rig.clock.ahead += 10 * SECOND
    now = rig.clock.now()
    together = threading.Barrier(len(many))

    def look(each: SelfMonitoring) -> None:
        together.wait()
        each.check_sweeps(rig.engine, now)

    threads = [threading.Thread(target=look, args=(each,)) for each in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.ticks(2 * MINUTE)
    assert notices(rig) == [BEHIND]


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_notifier_with_a_wrong_clock_detects_successful_sweeps(rig: Rig, off: int) -> None:
    mistaken = watch("email")
    for _ in range(30):
        rig.report_coverage()
        rig.ticks(5 * SECOND)
        mistaken.check_sweeps(rig.engine, rig.clock.now() + off)
    assert rig.subjects() == []
    for _ in range(30):
        rig.clock.ahead += 5 * SECOND
        mistaken.check_sweeps(rig.engine, rig.clock.now() + off)
    assert notices(rig) == [BEHIND]


def test_notifier_started_after_a_week_waits_for_the_scheduler(rig: Rig) -> None:
    rig.clock.ahead += 7 * DAY
    notifier = watch("email")
    lookouts(rig, notifier, duration=MINUTE)
    rig.report_coverage()
    rig.leadership.tick()
    lookouts(rig, notifier, duration=MINUTE)
    assert BEHIND not in notices(rig)


@pytest.mark.parametrize(("failing", "expected"), [("", []), ("coverage", [BEHIND])])
def test_new_service_is_behind_only_when_no_sweep_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, expected: list[str]
) -> None:
    rig = Rig(tmp_path)
    monkeypatch.setattr(rig.store, "ping", rig.clock.now)
    rig.store.failing = failing
    rig.ticks(2 * MINUTE)
    assert notices(rig) == expected


def test_sweep_slower_than_its_lease_keeps_the_lease(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 6
    slow = slower_than_the_lease(rig, monkeypatch, seconds)
    rig.ticks(5 * SECOND)
    with reading(rig.engine) as connection:
        progress = horizon.progress(connection)
        assert connection.scalar(select(lease.c.generation)) == 1
    assert slow == ["coverage"]
    assert progress.swept_at >= rig.began + 5 * SECOND
    assert progress.hindrance == ""


def test_hanging_sweep_loses_its_lease_and_writes_nothing(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_LONGEST_SWEEP", 0)
    slower_than_the_lease(rig, monkeypatch, 1)
    slow, hung = rig.store.coverage, []

    def answer(*arguments: Any) -> Any:
        found = slow(*arguments)
        hung.append(rig.leadership.hangs)
        return found

    monkeypatch.setattr(rig.store, "coverage", answer)
    with reading(rig.engine) as connection:
        before = horizon.progress(connection).swept_at
    rig.ticks(5 * SECOND)
    with reading(rig.engine) as connection:
        assert horizon.progress(connection).swept_at == before
    assert leases.acquire(rig.engine, "scheduler", "other", MINUTE) is not None
    assert hung == [True]


@pytest.mark.parametrize("hanging", ["the clock", "a stand-by", "a leader that lost its lease"])
def test_hanging_scheduler_is_detected_at_every_step(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, hanging: str
) -> None:
    monkeypatch.setattr(scheduler, "_LONGEST_SWEEP", 3 * SECOND)
    monkeypatch.setattr(rig.leadership, "_duration", 3 * SECOND)
    asked, go = threading.Event(), threading.Event()
    name = {"the clock": "ping", "a stand-by": "arrivals"}.get(hanging, "coverage")
    answer = getattr(rig.store, name)

    def hang(*arguments: Any) -> Any:
        asked.set()
        go.wait(60)
        return answer(*arguments)

    if hanging == "a stand-by":
        rig.leadership.step_down()
        assert leases.acquire(rig.engine, "scheduler", "other", MINUTE) is not None
    monkeypatch.setattr(rig.store, name, hang)
    tick = threading.Thread(target=rig.leadership.tick)
    tick.start()
    try:
        assert asked.wait(30)
        if hanging == "a leader that lost its lease":
            with writing(rig.engine) as connection:
                connection.execute(update(lease).values(expires_at=0))
        eventually(lambda: rig.leadership.hangs)
    finally:
        go.set()
        tick.join()
    assert not rig.leadership.hangs


_HANGS = """
import threading
from monitor import scheduler

class Leadership:
    hangs = False

    def tick(self):
        self.hangs = True
        threading.Event().wait()

scheduler.run(Leadership(), 5_000)
"""


def test_scheduler_with_a_hanging_sweep_exits() -> None:
    ended = subprocess.run([sys.executable, "-c", _HANGS], timeout=60, check=False)
    assert ended.returncode == 1


def slower_than_the_lease(rig: Rig, monkeypatch: pytest.MonkeyPatch, seconds: int) -> list[str]:
    """Make the store's next answer take until a lease of this many seconds would expire without
    renewal; the list of the answers so delayed."""
    monkeypatch.setattr(rig.leadership, "_duration", seconds * SECOND)
    slow: list[str] = []
    coverage = rig.store.coverage

    def has_expired(at: int) -> bool:
        with reading(rig.engine) as connection:
            return bool(connection.execute(select(database_now(connection))).scalar_one() > at)

    def answer(*arguments: Any) -> Any:
        with reading(rig.engine) as connection:
            expires_at = connection.execute(select(lease.c.expires_at)).scalar_one()
        # Each question is a new connection: asked often, they would delay the renewal itself.
        eventually(lambda: has_expired(expires_at), seconds + 30, every=0.25)
        slow.append("coverage")
        return coverage(*arguments)

    monkeypatch.setattr(rig.store, "coverage", answer)
    return slow


def test_judging_works_with_a_store_that_takes_six_seconds_per_answer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ping", "coverage", "arrivals", "last_seen"):
        answer = getattr(rig.store, name)

        def late(*arguments: Any, _answer: Any = answer, **options: Any) -> Any:
            rig.clock.ahead += 6 * SECOND
            return _answer(*arguments, **options)

        monkeypatch.setattr(rig.store, name, late)
    for _ in range(40):
        rig.report_coverage()
        rig.ticks(5 * SECOND)
    with reading(rig.engine) as connection:
        progress = horizon.progress(connection)
    assert rig.clock.now() - progress.swept_at < 30 * SECOND
    assert rig.subjects() == []
