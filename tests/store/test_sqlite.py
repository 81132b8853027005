"""Tests that apply only to the SQLite store."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.model import DAY, HOUR, MINUTE, SECOND, Seen
from monitor.store.interface import CoverageSpan, Cursor, StoreUnavailable
from monitor.store.sqlite import SqliteStore
from tests.conftest import RETENTION
from tests.store.beats import NOW, history, live, stored
from tests.waiting import eventually

PREFACE = """
import resource, signal, sys
from pathlib import Path
from monitor.model import Seen
from monitor.store.interface import Cursor, StoreUnavailable
from monitor.store.sqlite import SqliteStore
from tests.store.beats import NOW, live
path = Path(sys.argv[1])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "beats.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, RETENTION, writable=True)
    store.migrate()
    yield store
    store.close()


def another_process(program: str, path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PREFACE + program, str(path)], stdout=subprocess.PIPE, text=True
    )


def output(process: "subprocess.Popen[str]") -> list[str]:
    with process:
        assert process.stdout is not None
        text = process.stdout.read()
    assert process.returncode == 0
    return text.split()


def test_reader_created_before_the_file_reads_it_later(path: Path) -> None:
    reader = SqliteStore(path, RETENTION)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            reader.last_seen(0)
    assert not path.exists()
    writer = SqliteStore(path, RETENTION, writable=True)
    writer.migrate()
    writer.append([live(1, NOW)])
    assert reader.last_seen(NOW) == {1: NOW}
    writer.close()
    assert reader.last_seen(NOW) == {1: NOW}
    reader.close()
    later = SqliteStore(path, RETENTION)
    assert later.last_seen(NOW) == {1: NOW}
    later.close()


def test_reader_cannot_write(writer: SqliteStore, path: Path) -> None:
    reader = SqliteStore(path, RETENTION)
    with pytest.raises(StoreUnavailable, match="readonly"):
        reader.append([live(1, NOW)])
    reader.close()


READ_ALL = """
store, cursor, seen = SqliteStore(path, 1), Cursor(0), []
print("ready", flush=True)
while len(seen) < 3000:
    arrivals = store.arrivals(cursor)
    cursor = arrivals.cursor
    seen += arrivals.seen
    known = store.last_seen(NOW, [beat.mac for beat in arrivals.seen])
    assert all(known[beat.mac] >= beat.time for beat in arrivals.seen)
assert sorted(beat.mac for beat in seen) == list(range(3000))
print("done")
"""


def test_readers_in_other_processes_see_each_arrival_once(writer: SqliteStore, path: Path) -> None:
    readers = [another_process(READ_ALL, path) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for mac in range(0, 3000, 10):
        writer.append([live(n, NOW + n) for n in range(mac, mac + 10)])
        writer.announce("a", NOW, [Seen(n, NOW + n, True) for n in range(mac, mac + 10)])
    assert [output(reader) for reader in readers] == [["done"], ["done"]]


def test_many_threads_can_share_one_store(writer: SqliteStore) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                writer.append([live(number, NOW + turn)])
                assert writer.last_seen(NOW, [number]) == {number: NOW + turn}
                assert len(stored(writer, number)) == turn + 1
        except BaseException as error:  # noqa: BLE001 raised in the test's main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_store_can_be_used_after_a_fork(writer: SqliteStore) -> None:
    writer.append([live(1, NOW)])
    assert writer.last_seen(NOW) == {1: NOW}
    child = os.fork()
    if child == 0:
        same = writer.last_seen(NOW) == {1: NOW}
        writer.close()
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    writer.append([live(2, NOW)])
    assert writer.last_seen(NOW) == {1: NOW, 2: NOW}


KEEP_WRITING = """
store = SqliteStore(path, 1, writable=True)
turn = 0
while True:
    store.append([live(mac, NOW + turn) for mac in range(200)])
    print(turn, flush=True)
    turn += 1
"""


def test_killed_writer_loses_no_appended_heartbeat(writer: SqliteStore, path: Path) -> None:
    writer.close()
    other = another_process(KEEP_WRITING, path)
    assert other.stdout is not None
    for _ in range(30):
        other.stdout.readline()
    other.send_signal(signal.SIGKILL)
    with other:
        acknowledged = 29 + len(other.stdout.read().split())
    reader = SqliteStore(path, RETENTION)
    seen = reader.last_seen(NOW)
    reader.close()
    assert len(seen) == 200
    assert min(seen.values()) == max(seen.values()) >= NOW + acknowledged
    writer.append([live(1, NOW + DAY)])
    assert writer.last_seen(NOW + DAY) == {1: NOW + DAY}


FILL_THE_DISK = """
store = SqliteStore(path, 1, writable=True)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, most))
turn = 0
try:
    while True:
        store.append([live(mac, NOW + turn, load=0.125) for mac in range(1000)])
        turn += 1
except StoreUnavailable:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
assert 0 < turn < 1000
assert set(store.last_seen(0).values()) == {NOW + turn - 1}
store.append([live(1, NOW + turn)])
print(turn)
"""


def test_full_disk_raises_store_unavailable_and_loses_nothing(
    writer: SqliteStore, path: Path
) -> None:
    writer.close()
    (turns,) = map(int, output(another_process(FILL_THE_DISK, path)))
    assert [beat.time - NOW for beat in stored(writer, 1)] == [*range(turns), turns]
    assert [beat.time - NOW for beat in stored(writer, 999)] == list(range(turns))


def test_expired_heartbeats_are_deleted_in_small_transactions(
    writer: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.store.sqlite._ROWS_PER_TRANSACTION", 7)
    writer.append([live(mac, NOW + n * MINUTE) for mac in range(1, 6) for n in range(10)])
    writer.append([history(9, NOW - 2 * HOUR)])
    writer.add_coverage(CoverageSpan("a", NOW - HOUR, NOW - MINUTE, True))
    writer.add_coverage(CoverageSpan("b", NOW - HOUR, NOW, False))
    writer.expire(NOW + 4 * MINUTE + RETENTION)
    kept = [NOW + n * MINUTE for n in range(4, 10)]
    for mac in range(1, 6):
        assert [beat.time for beat in stored(writer, mac)] == kept
    assert stored(writer, 9) == []
    assert writer.last_seen(0) == dict.fromkeys(range(1, 6), NOW + 9 * MINUTE)
    assert writer.coverage(NOW - DAY, NOW + DAY) == []


def test_arrivals_are_kept_for_a_day_and_cursors_never_go_back(writer: SqliteStore) -> None:
    start = writer.arrivals(None).cursor
    writer.announce("a", NOW, [Seen(1, NOW, True)])
    now = writer.ping()
    writer.expire(now + DAY - SECOND)
    assert writer.arrivals(start).seen == [Seen(1, NOW, True)]
    before = writer.arrivals(None).cursor
    writer.expire(now + DAY + SECOND)
    assert writer.arrivals(start).seen == []
    assert writer.arrivals(None).cursor == before
    writer.announce("a", NOW, [Seen(2, NOW, True)])
    assert writer.arrivals(before).seen == [Seen(2, NOW, True)]


def test_slow_export_holds_no_snapshot_open(writer: SqliteStore, path: Path) -> None:
    writer.append([live(1, NOW + n * HOUR) for n in range(3)])
    export = writer.heartbeats([1], NOW, NOW + DAY)
    assert next(export) == live(1, NOW)
    writer.append([live(1, NOW + HOUR + MINUTE)])
    assert [beat.time for beat in export] == [NOW + HOUR, NOW + HOUR + MINUTE, NOW + 2 * HOUR]

    def emptied() -> bool:
        connection = sqlite3.connect(path)
        try:
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
        finally:
            connection.close()

    eventually(emptied)


def test_cursor_from_another_store_reads_all_arrivals(writer: SqliteStore) -> None:
    writer.announce("a", NOW, [Seen(1, NOW, True)])
    read = writer.arrivals(Cursor(NOW * 1_000_000))
    assert [seen.mac for seen in read.seen] == [1]
    assert writer.arrivals(read.cursor).seen == []
