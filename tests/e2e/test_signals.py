"""Signals to each process under about 1,000 heartbeats per second: no acknowledged heartbeat is
lost, and a process that may finish its work cuts no reply."""

import pty
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from monitor.model import DAY
from monitor.state.database import open_state, reading
from monitor.state.tables import incident
from monitor.store.sqlite import SqliteStore
from tests.e2e.load import ACKNOWLEDGED, CUT, KEPT, NEW, REFUSED, UNANSWERED, Load, Result
from tests.service import Service
from tests.waiting import eventually

SETTINGS = {
    "MONITOR_INGEST_RATE_PER_SENSOR": 1_000,
    "MONITOR_STALENESS_THRESHOLD": 20,
    "MONITOR_STALENESS_SWEEP_INTERVAL": 1,
}
WORKERS = 2
GRACE = 0.25
"""Seconds between two requests of a connection that a stopping server allows in any case."""
ENOUGH = 150
"""Acknowledged heartbeats on each kind of connection, after which the service has recovered."""


class Run:
    """A service under load."""

    def __init__(self, service: Service, load: Load) -> None:
        self.service, self.load = service, load

    def arbiter(self) -> psutil.Process:
        """The parent of the workers and of the shipper."""
        assert self.service.process is not None
        supervisor = self.service.process.pid
        return eventually(
            lambda: next((p for p in self.service.named("web") if p.ppid() == supervisor), None)
        )

    def workers(self) -> list[psutil.Process]:
        """The processes that listen."""
        arbiter = self.arbiter().pid
        return [p for p in self.service.named("web") if p.is_running() and p.ppid() == arbiter]

    def replaced(self, *old: psutil.Process) -> bool:
        """Whether these processes are gone, and all that should run do."""
        running = [*self.workers(), *self.service.named("shipper")]
        return (
            not any(each.is_running() for each in old)
            and len(self.workers()) == WORKERS
            and len(running) == WORKERS + 1
        )

    def goes_on(self, kind: str, since: float) -> bool:
        """Whether many heartbeats were acknowledged since a moment."""
        return self.load.acknowledged(kind, since) > ENOUGH

    def during(self, name: str, action: Callable[[], None], *old: psutil.Process) -> list[Result]:
        """The results from `action` until the service has recovered without the old processes."""
        started = time.monotonic()
        action()
        eventually(lambda: self.replaced(*old), 40, 0.1)
        settled = time.monotonic()
        for kind in (KEPT, NEW):
            eventually(partial(self.goes_on, kind, settled), 40, 0.1)
        results = [each for each in self.load.results() if each.at > started]
        counts = Counter((each.kind, each.outcome) for each in results)
        print(f"{name}: {settled - started:.1f} s", dict(sorted(counts.items())))
        for each in results:
            if each.outcome not in (ACKNOWLEDGED, REFUSED):
                print("  ", each)
        return results


@contextmanager
def running(directory: Path) -> Iterator[Run]:
    """A service under load. At the end, checks what is stored."""
    with Service(directory, **SETTINGS) as service:
        service.ready()
        with Load(service.port, directory / "load.tsv") as load:
            run = Run(service, load)
            for kind in (KEPT, NEW):
                eventually(partial(run.goes_on, kind, 0.0))
            yield run
            load.stop()
            results = load.results()
            seconds = results[-1].at - results[0].at
            print(f"{len(results)} heartbeats, {len(results) / seconds:.0f} per second")
            eventually(partial(all_up, service))
    check_emptied(service)
    check_stored(directory, results)
    assert "Traceback" not in service.log.read_text()


def all_up(service: Service) -> bool:
    """Whether all sensors are up, and none was ever down."""
    engine = open_state(f"sqlite:///{service.directory / 'data' / 'state.sqlite'}")
    with reading(engine) as connection:
        assert connection.execute(select(incident)).all() == []
    return {each["status"] for each in service.sensors().values()} == {"up"}


def tomorrow() -> int:
    """A moment (ms) after all heartbeats."""
    return time.time_ns() // 1_000_000 + DAY


def store_of(directory: Path) -> SqliteStore:
    """What the service has stored."""
    return SqliteStore(directory / "data" / "heartbeats.sqlite", DAY)


def check_never_blind(directory: Path) -> None:
    """One coverage span lasts from the start: each worker that ended has closed its segment."""
    store, now = store_of(directory), time.time_ns() // 1_000_000
    eventually(lambda: store.coverage(now, tomorrow()))
    spans = store.coverage(0, tomorrow())
    assert len({span.start for span in spans}) == 1


def check_stored(directory: Path, results: list[Result]) -> None:
    """Each acknowledged heartbeat is stored once, and each stored one was sent."""
    sent = {(each.mac, each.time) for each in results}
    acknowledged = {(each.mac, each.time) for each in results if each.outcome == ACKNOWLEDGED}
    beats = store_of(directory).heartbeats({mac for mac, _ in sent}, 0, tomorrow())
    stored = Counter((beat.mac, beat.time) for beat in beats)
    assert len(acknowledged - set(stored)) == 0
    assert set(stored) <= sent
    assert set(stored.values()) == {1}


def check_gentle(results: list[Result]) -> None:
    """No reply was cut, and each request was answered, except on a connection that was idle."""
    assert [each for each in results if each.outcome == CUT] == []
    assert [
        each
        for each in results
        if each.outcome == UNANSWERED and (each.kind == NEW or each.idle < GRACE)
    ] == []
    assert {each.outcome for each in results} <= {ACKNOWLEDGED, REFUSED, UNANSWERED}


def to_all(service: Service, number: signal.Signals) -> None:
    """Send a signal to all processes, as a terminal does, and wait until they have ended."""
    family = service.family()
    for process in family:
        process.send_signal(number)
    assert service.process is not None
    assert service.process.wait(40) == 0
    assert not [process for process in family if process.is_running()]


def stop_new_worker(run: Run) -> None:
    """Send SIGTERM to a worker as soon as it exists."""
    arbiter = run.arbiter()
    children = Path(f"/proc/{arbiter.pid}/task/{arbiter.pid}/children")
    known = children.read_text().split()
    arbiter.send_signal(signal.SIGHUP)
    new = eventually(lambda: set(children.read_text().split()) - set(known), every=0)
    worker = psutil.Process(int(new.pop()))
    worker.terminate()
    eventually(lambda: not worker.is_running())


def check_emptied(service: Service) -> None:
    """A service that has stopped has nothing left to store."""
    assert list((service.directory / "data" / "spool").iterdir()) == []


@pytest.mark.timeout(180)
def test_signals_that_let_a_process_finish_cut_no_reply(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        for _ in range(2):
            hang_up = partial(run.arbiter().send_signal, signal.SIGHUP)
            results = run.during("SIGHUP to the arbiter", hang_up, *run.workers())
            check_gentle(results)
            assert REFUSED not in {each.outcome for each in results}
        worker = run.workers()[0]
        results = run.during("SIGTERM to a worker", worker.terminate, worker)
        check_gentle(results)
        assert REFUSED not in {each.outcome for each in results}
        results = run.during("SIGTERM to a worker that starts", partial(stop_new_worker, run))
        check_gentle(results)
        assert REFUSED not in {each.outcome for each in results}
        harmless = partial(run.workers()[0].send_signal, signal.SIGUSR1)
        results = run.during("SIGUSR1 to a worker", harmless)
        assert {each.outcome for each in results} == {ACKNOWLEDGED}
        check_never_blind(tmp_path)

        def restart() -> None:
            run.service.stop()
            check_emptied(run.service)
            run.service.start()

        check_gentle(run.during("SIGTERM to the service", restart))


@pytest.mark.timeout(180)
def test_killed_processes_lose_no_acknowledged_heartbeat(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        for number in (signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL):
            worker = run.workers()[0]
            run.during(f"{number.name} to a worker", partial(worker.send_signal, number), worker)
            if number != signal.SIGKILL:
                check_never_blind(tmp_path)
        [shipper] = run.service.named("shipper")
        run.during("SIGKILL to the shipper", shipper.kill, shipper)
        arbiter = run.arbiter()
        run.during("SIGKILL to the arbiter", arbiter.kill, arbiter)

        def interrupt() -> None:
            to_all(run.service, signal.SIGINT)
            check_emptied(run.service)
            run.service.start()

        run.during("SIGINT to all processes", interrupt)


@pytest.fixture
def sighup() -> Iterator[None]:
    """The service gets SIGHUP even if the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("sighup")
def test_service_ends_with_its_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    service = Service(tmp_path)
    service.stdin = theirs
    with open(ours), open(theirs), service:  # noqa: PTH123 descriptors have no path
        service.ready()
        service.beat("02:00:00:00:00:01")
        to_all(service, signal.SIGHUP)
        check_emptied(service)
        assert "Traceback" not in service.log.read_text()
