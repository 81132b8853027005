"""Shippers and workers as processes that are stopped and killed, with a real store."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.parse import Report
from monitor.ingest.shipper import Shipper, source_id
from monitor.ingest.wal.format import REFUSING_SUFFIX, SUFFIX
from monitor.ingest.wal.writer import WalUnavailable, WalWriter
from monitor.model import DAY, Heartbeat
from monitor.store.interface import CoverageSpan, StoreUnavailable
from monitor.store.sqlite import SqliteStore
from tests.waiting import eventually

_WORKER = """
import signal, sys, time
from pathlib import Path
from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.shipper import Shipper
from monitor.ingest.wal.writer import WalWriter
from monitor.model import DAY
from monitor.store.sqlite import SqliteStore

directory, first, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
stopped = []  # not an Event: its lock may be held by the thread that the handler interrupts
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
clock = Clock()
writer = WalWriter(directory / "spool", clock, 10**9)
shipper = Shipper(
    directory, clock, lambda: SqliteStore(directory / "beats.sqlite", DAY, True), lambda names: None
)
shipper.start()
mac = first
while not stopped:
    time.sleep(pause)
    mac += 1
    received = writer.append([Report(mac, None, True, None)])
    sys.stdout.write(f"{received} {mac}\\n")
    sys.stdout.flush()
writer.close()
shipper.close()
"""


class Site:
    """A data directory with workers, and the heartbeats that they acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = SqliteStore(directory / "beats.sqlite", DAY, writable=True)
        self.store.migrate()
        self.acknowledged: set[tuple[int, int]] = set()
        self.workers: list[subprocess.Popen[str]] = []

    def start(self, pause: float = 0.001) -> subprocess.Popen[str]:
        first = (len(self.workers) + 1) * 1_000_000
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(self.directory), str(first), str(pause)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.workers.append(worker)
        return worker

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

    def segments(self) -> list[Path]:
        return list((self.directory / "spool").glob("*" + SUFFIX))

    def shippers(self) -> list[int]:
        """Processes that have the heartbeat file open."""
        file = str(self.directory / "beats.sqlite")
        return [
            worker.pid
            for worker in self.workers
            if worker.poll() is None
            and any(opened.path == file for opened in psutil.Process(worker.pid).open_files())
        ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for worker in site.workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
        if worker.stdout:
            worker.stdout.close()
    site.store.close()


def test_one_worker_ships_for_all_and_the_last_reports_the_final_span(
    site: Site,
) -> None:
    workers = [site.start() for _ in range(3)]
    for worker in workers:
        site.record_output(worker, 100)
    assert len(eventually(site.shippers)) == 1
    eventually(site.coverage_spans, 30)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        site.end(worker, signal.SIGTERM)
    assert site.stored() == Counter(site.acknowledged)
    last = site.coverage_spans()[-1]
    assert last.closing
    assert last.until >= max(received for received, _ in site.acknowledged) - 5_000
    assert site.segments() == []


def test_worker_that_stops_while_others_run_reports_no_final_span(site: Site) -> None:
    workers = [site.start() for _ in range(2)]
    for worker in workers:
        site.record_output(worker, 20)
    shipping = eventually(site.shippers)
    workers.sort(key=lambda worker: worker.pid not in shipping)
    site.end(workers[0], signal.SIGTERM)
    eventually(lambda: site.shippers() == [workers[1].pid])
    acknowledged_by_the_second = max(received for received, _ in site.acknowledged)
    eventually(lambda: site.coverage_spans()[-1].until > acknowledged_by_the_second)
    assert not any(span.closing for span in site.coverage_spans())
    site.end(workers[1], signal.SIGTERM)
    assert site.coverage_spans()[-1].closing
    assert site.stored() == Counter(site.acknowledged)


@pytest.mark.parametrize("seed", range(3))
def test_killed_workers_lose_no_acknowledged_heartbeat_and_duplicate_none(
    site: Site, seed: int
) -> None:
    chance = random.Random(seed)
    workers = [site.start() for _ in range(2)]
    for _ in range(4):
        for worker in workers:
            site.record_output(worker, chance.randrange(1, 400))
        victim = chance.randrange(2)
        site.end(workers[victim], signal.SIGKILL)
        workers[victim] = site.start()
    for worker in workers:
        site.record_output(worker, 50)
        site.end(worker, signal.SIGTERM)
    stored = site.stored()
    assert set(stored) >= site.acknowledged
    # A worker may be killed after it wrote a heartbeat and before it acknowledged it.
    assert max(stored.values()) == 1
    assert site.coverage_spans()[-1].closing
    assert site.segments() == []


def test_killed_worker_ends_the_coverage_span_and_a_new_one_starts(site: Site) -> None:
    survivor, victim = site.start(), site.start()
    site.record_output(survivor, 10)
    site.record_output(victim, 10)
    eventually(
        lambda: site.coverage_spans() and site.coverage_spans()[-1].until > Clock().now() - 1500
    )
    if site.shippers() == [victim.pid]:
        survivor, victim = victim, survivor
    before = site.coverage_spans()[-1].start
    killed = Clock().now()
    site.end(victim, signal.SIGKILL)
    eventually(lambda: site.coverage_spans()[-1].start > before)
    old, new = site.coverage_spans()[-2:]
    assert old.until <= killed + 2_000
    assert new.start >= killed
    site.end(survivor, signal.SIGTERM)


class Away(SqliteStore):
    """A SQLite store that is unavailable until the test changes it."""

    reachable = False

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Append, or raise StoreUnavailable."""
        if not self.reachable:
            raise StoreUnavailable("simulated failure")
        super().append(heartbeats)


def test_status_shows_why_nothing_is_shipped_until_shipping_resumes(tmp_path: Path) -> None:
    store = Away(tmp_path / "beats.sqlite", DAY, writable=True)
    store.migrate()
    writer = WalWriter(tmp_path / "spool", Clock(), 10**9)
    shipper = Shipper(tmp_path, Clock(), lambda: store, lambda names: None)
    received = writer.append([Report(1, None, True, None)])
    shipper.start()

    def state() -> dict[str, object]:
        try:
            return dict(json.loads((tmp_path / status.FILE).read_bytes()))
        except FileNotFoundError:
            return {}

    eventually(lambda: state().get("reason") == "simulated failure")
    assert state()["ready"] is False
    store.reachable = True
    eventually(lambda: state().get("ready") is True)
    reader = SqliteStore(tmp_path / "beats.sqlite", DAY)
    assert [beat.time for beat in reader.heartbeats([1], 0, 1 << 50)] == [received]
    reader.close()
    writer.close()
    shipper.close()


def test_source_id_is_the_same_for_every_worker_and_start(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from monitor.ingest.shipper import source_id; "
        "print(source_id(Path(sys.argv[1])))"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    printed = {worker.communicate(timeout=30)[0].decode().strip() for worker in workers}
    assert printed == {source_id(tmp_path)}


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe\x00", b"two words", "\u00fc".encode()])
def test_damaged_source_id_is_replaced_and_heartbeats_are_shipped(
    tmp_path: Path, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "source-id").write_bytes(damaged)
    site = Site(tmp_path)
    writer = WalWriter(tmp_path / "spool", Clock(), 10**9)
    shipper = Shipper(
        tmp_path, Clock(), lambda: SqliteStore(site.store._path, DAY, True), lambda _names: None
    )
    shipper.start()
    writer.append([Report(1, None, True, None)])
    eventually(lambda: list(site.store.heartbeats([1], 0, 1 << 50)))
    writer.close()
    shipper.close()
    site.store.close()
    assert "source-id is damaged" in caplog.text
    assert "Traceback" not in caplog.text
    assert source_id(tmp_path) == (tmp_path / "source-id").read_text("ascii")
    assert (tmp_path / "source-id.damaged").read_bytes() == damaged


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no tmpfs: {mounted.stderr.decode()}")
        pytest.skip("mounting a tmpfs needs privileges")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(writer: WalWriter) -> list[int]:
    """Append until there is no room; the MAC addresses appended."""
    kept: list[int] = []
    while append(writer, len(kept), rows=30):
        kept.append(len(kept))
    return kept


def append(writer: WalWriter, mac: int, rows: int = 1) -> bool:
    """Append one heartbeat; whether there was room."""
    try:
        writer.append([Report(mac, None, True, {"load": n / 7}) for n in range(rows)])
    except WalUnavailable as error:
        assert "No space" in str(error)  # noqa: PT017
        return False
    return True


def test_disk_filled_by_the_wal_recovers_after_shipping(tmp_path: Path, small_disk: Path) -> None:
    writer = WalWriter(small_disk, Clock(), 10**9)
    kept = fill(writer)
    assert kept
    (tmp_path / "spool").symlink_to(small_disk)
    store = SqliteStore(tmp_path / "beats.sqlite", DAY, writable=True)
    store.migrate()
    shipper = Shipper(tmp_path, Clock(), lambda: store, lambda names: None)
    shipper.start()
    eventually(lambda: append(writer, 5_000), 20)
    writer.close()
    shipper.close()
    reader = SqliteStore(tmp_path / "beats.sqlite", DAY)
    found = {beat.mac for beat in reader.heartbeats([*kept, 5_000], 0, 1 << 50)}
    reader.close()
    assert found == {*kept, 5_000}


def test_worker_started_on_a_full_disk_refuses_reports_it_and_recovers(
    tmp_path: Path, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    writer = WalWriter(small_disk, Clock(), 10**9)
    assert list(small_disk.glob("*" + REFUSING_SUFFIX))
    with pytest.raises(WalUnavailable):
        writer.append([Report(1, None, True, None)])
    (tmp_path / "spool").symlink_to(small_disk)
    store = SqliteStore(tmp_path / "beats.sqlite", DAY, writable=True)
    store.migrate()
    shipper = Shipper(tmp_path, Clock(), lambda: store, lambda names: None)
    shipper.start()
    reader = SqliteStore(tmp_path / "beats.sqlite", DAY)
    eventually(lambda: (tmp_path / status.FILE).exists())
    assert reader.coverage(0, 1 << 50) == []
    filler.unlink()
    # The keeper notices the space without a heartbeat.
    covered = eventually(lambda: reader.coverage(0, 1 << 50))
    assert not list(small_disk.glob("*" + REFUSING_SUFFIX))
    received = writer.append([Report(1, None, True, None)])
    assert covered[0].start <= received
    writer.close()
    shipper.close()
    assert [beat.received for beat in reader.heartbeats([1], 0, 1 << 50)] == [received]
    reader.close()
