"""Shippers and workers as processes that are stopped and killed, with a real store."""

import fcntl
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitor.clock import Clock
from monitor.ingest.wal.format import SUFFIX
from monitor.model import DAY
from monitor.store.interface import CoverageSpan
from monitor.store.sqlite import SqliteStore
from tests.states import new_state
from tests.waiting import eventually

_WORKER = """
import signal, sys, time
from pathlib import Path
from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.writer import WalWriter

spool, mac, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
stopped = []  # not an Event: its lock may be held by the thread that the handler interrupts
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
writer = WalWriter(spool, Clock(), 10**9)
while not stopped:
    time.sleep(pause)
    mac += 1
    received = writer.append([Report(mac, None, True, None)])
    sys.stdout.write(f"{received} {mac}\\n")
    sys.stdout.flush()
writer.close()
"""


class Site:
    """A data directory with workers and shippers, and the heartbeats that were acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / "heartbeats.sqlite"
        self.store = SqliteStore(self._file, DAY, writable=True)
        self.store.migrate()
        new_state(directory / "state.sqlite").dispose()
        self.acknowledged: set[tuple[int, int]] = set()
        self.workers: list[subprocess.Popen[str]] = []
        self.shippers: list[subprocess.Popen[bytes]] = []

    def start_worker(self, pause: float = 0.001) -> subprocess.Popen[str]:
        first = (len(self.workers) + 1) * 1_000_000
        spool = str(self.directory / "spool")
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, spool, str(first), str(pause)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.workers.append(worker)
        return worker

    def start_shipper(self) -> subprocess.Popen[bytes]:
        shipper = subprocess.Popen(
            [sys.executable, "-m", "monitor", "shipper"],
            env={**os.environ, "MONITOR_DATA_DIRECTORY": str(self.directory)},
        )
        self.shippers.append(shipper)
        return shipper

    def record_output(self, worker: subprocess.Popen[str], lines: int | None = None) -> None:
        """Record a worker's output: this many lines, or all until it ends."""
        assert worker.stdout
        while lines is None or lines > 0:
            line = worker.stdout.readline()
            if not line.endswith("\n"):
                worker.stdout.close()
                return
            received, mac = line.split()
            self.acknowledged.add((int(received), int(mac)))
            lines = None if lines is None else lines - 1

    def end(self, worker: subprocess.Popen[str], how: signal.Signals) -> None:
        worker.send_signal(how)
        self.record_output(worker)
        worker.wait(30)

    def stored(self) -> Counter[tuple[int, int]]:
        macs = [mac for _, mac in self.acknowledged]
        return Counter((b.received, b.mac) for b in self.store.heartbeats(macs, 0, 1 << 50))

    def coverage_spans(self) -> list[CoverageSpan]:
        return sorted(self.store.coverage(0, 1 << 50), key=lambda span: span.start)

    def covered_until(self) -> int:
        """The end of the newest coverage span (ms); 0 if there is none."""
        return max((span.until for span in self.coverage_spans()), default=0)

    def wait_for_coverage(self) -> None:
        """Wait until this moment is covered."""
        now = Clock().now()
        eventually(lambda: self.covered_until() > now)

    def segments(self) -> list[Path]:
        return list((self.directory / "spool").glob("*" + SUFFIX))

    def active_shippers(self) -> list[subprocess.Popen[bytes]]:
        """Those that have the heartbeat file open."""
        return [shipper for shipper in self.shippers if _has_open(shipper, self._file)]

    def end_shipper(self, shipper: subprocess.Popen[bytes]) -> None:
        # Until it waits for the lock, a signal ends it at once.
        eventually(lambda: _has_open(shipper, self.directory / "shipper.lock"))
        shipper.terminate()
        assert shipper.wait(30) == 0

    def kill(self) -> None:
        processes: list[subprocess.Popen[Any]] = [*self.workers, *self.shippers]
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self.store.close()


def _has_open(process: subprocess.Popen[bytes], file: Path) -> bool:
    if process.poll() is not None:
        return False
    return any(each.path == str(file) for each in psutil.Process(process.pid).open_files())


def _is_stopping(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has taken SIGTERM, which it blocks."""
    if process.poll() is not None:
        return True
    status = Path(f"/proc/{process.pid}/status").read_text()
    pending = re.search(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)
    assert pending
    return not int(pending[1], 16) & 1 << signal.SIGTERM - 1


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.kill()


def test_one_shipper_ships_for_all_workers(site: Site) -> None:
    shippers = [site.start_shipper() for _ in range(2)]
    workers = [site.start_worker() for _ in range(3)]
    for worker in workers:
        site.record_output(worker, 100)
    assert len(eventually(site.active_shippers)) == 1
    eventually(site.coverage_spans)
    for worker in workers:
        site.end(worker, signal.SIGTERM)
    for shipper in shippers:
        site.end_shipper(shipper)
    assert site.stored() == Counter(site.acknowledged)
    last = site.coverage_spans()[-1]
    assert last.closing
    assert last.until >= max(received for received, _ in site.acknowledged) - 5_000
    assert site.segments() == []


def test_shipper_closes_the_span_only_after_the_last_worker_has_ended(site: Site) -> None:
    shipper = site.start_shipper()
    workers = [site.start_worker(0.01) for _ in range(2)]
    for worker in workers:
        site.record_output(worker, 20)
    eventually(site.coverage_spans)
    shipper.terminate()
    site.end(workers[0], signal.SIGTERM)
    site.wait_for_coverage()
    assert shipper.poll() is None
    assert not any(span.closing for span in site.coverage_spans())
    site.end(workers[1], signal.SIGTERM)
    assert shipper.wait(30) == 0
    assert site.coverage_spans()[-1].closing
    assert site.stored() == Counter(site.acknowledged)


def test_shipper_that_waits_for_a_stopping_one_ships_what_that_leaves(site: Site) -> None:
    worker = site.start_worker()
    site.record_output(worker, 20)
    site.end(worker, signal.SIGTERM)
    with (site.directory / "shipper.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shipper = site.start_shipper()
        eventually(lambda: _has_open(shipper, site.directory / "shipper.lock"))
        shipper.terminate()
        eventually(lambda: _is_stopping(shipper))
    assert shipper.wait(30) == 0
    assert site.stored() == Counter(site.acknowledged)
    assert site.segments() == []


def test_shipper_that_stops_while_a_worker_runs_reports_no_final_span(site: Site) -> None:
    first, worker = site.start_shipper(), site.start_worker(0.01)
    site.record_output(worker, 20)
    eventually(site.coverage_spans)
    second = site.start_shipper()
    site.end_shipper(first)  # after ten seconds, in which it waits for the worker
    eventually(lambda: site.active_shippers() == [second])
    site.wait_for_coverage()
    assert not any(span.closing for span in site.coverage_spans())
    site.end(worker, signal.SIGTERM)
    site.end_shipper(second)
    assert site.coverage_spans()[-1].closing
    assert site.stored() == Counter(site.acknowledged)


@pytest.mark.parametrize("seed", range(3))
def test_killed_processes_lose_no_acknowledged_heartbeat_and_duplicate_none(
    site: Site, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        site.start_shipper()
    workers = [site.start_worker() for _ in range(2)]
    for _ in range(4):
        for worker in workers:
            site.record_output(worker, chance.randrange(1, 400))
        victim = chance.randrange(2)
        site.end(workers[victim], signal.SIGKILL)
        workers[victim] = site.start_worker()
        (active,) = eventually(site.active_shippers)
        if chance.random() < 0.5:
            site.wait_for_coverage()
        active.kill()
        active.wait()
        site.start_shipper()
    site.wait_for_coverage()
    for worker in workers:
        site.record_output(worker, 50)
        site.end(worker, signal.SIGTERM)
    for shipper in site.shippers:
        if shipper.poll() is None:
            site.end_shipper(shipper)
    stored = site.stored()
    assert set(stored) >= site.acknowledged
    # A worker may be killed after it wrote a heartbeat and before it acknowledged it.
    assert max(stored.values()) == 1
    assert site.coverage_spans()[-1].closing
    assert site.segments() == []


def test_killed_worker_ends_the_coverage_span_and_a_new_one_starts(site: Site) -> None:
    shipper = site.start_shipper()
    survivor, victim = site.start_worker(), site.start_worker()
    site.record_output(survivor, 10)
    site.record_output(victim, 10)
    site.wait_for_coverage()
    before = site.coverage_spans()[-1].start
    killed = Clock().now()
    site.end(victim, signal.SIGKILL)
    eventually(lambda: site.coverage_spans()[-1].start > before)
    old, new = site.coverage_spans()[-2:]
    assert old.until <= killed + 2_000
    assert new.start >= killed
    site.end(survivor, signal.SIGTERM)
    site.end_shipper(shipper)


def test_shipper_that_takes_over_after_a_kill_starts_a_new_span(site: Site) -> None:
    first, worker = site.start_shipper(), site.start_worker(0.01)
    site.record_output(worker, 20)
    eventually(site.coverage_spans)
    second = site.start_shipper()
    first.kill()
    first.wait()
    killed = Clock().now()
    eventually(lambda: site.coverage_spans()[-1].start >= killed)
    assert site.active_shippers() == [second]
    site.end(worker, signal.SIGTERM)
    site.end_shipper(second)
    assert site.stored() == Counter(site.acknowledged)


def test_suspended_shipper_ships_when_it_is_resumed(site: Site) -> None:
    shipper, worker = site.start_shipper(), site.start_worker(0.01)
    site.record_output(worker, 20)
    eventually(site.coverage_spans)
    site.end(worker, signal.SIGTERM)  # so that a shipper which stopped would exit at once
    shipper.send_signal(signal.SIGSTOP)
    resumed = Clock().now() + 2_000
    eventually(lambda: Clock().now() > resumed)
    shipper.send_signal(signal.SIGCONT)
    worker = site.start_worker(0.01)
    site.record_output(worker, 20)
    site.wait_for_coverage()
    assert site.active_shippers() == [shipper]
    site.end(worker, signal.SIGTERM)
    site.end_shipper(shipper)
    assert site.stored() == Counter(site.acknowledged)
