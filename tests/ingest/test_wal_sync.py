"""What the WAL promises about a power failure: `WalWriter.sync`."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.ingest.coverage import Refusal
from monitor.ingest.parse import Report
from monitor.ingest.wal import writer as wal_writer
from monitor.ingest.wal.format import SUFFIX
from monitor.ingest.wal.reader import SegmentReader
from monitor.ingest.wal.writer import WalUnavailable, WalWriter
from monitor.model import Heartbeat
from tests.waiting import eventually

TIMEOUT = 20.0


class Disk:
    """Every fdatasync of this process: which files were synced; it may fail or wait."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.fails = False
        self.before: Callable[[], None] = lambda: None
        self._fdatasync = os.fdatasync

    def pause(self) -> tuple[threading.Event, threading.Event]:
        """Make syncs wait: events that one has begun, and that it may go on."""
        entered, leave = threading.Event(), threading.Event()

        def wait() -> None:
            entered.set()
            assert leave.wait(TIMEOUT)

        self.before = wait
        return entered, leave

    def fdatasync(self, file: int) -> None:
        """Raises OSError if the test sets `fails`."""
        self.before()
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fdatasync(file)
        self.synced.append(Path(f"/proc/self/fd/{file}").readlink().name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("monitor.ingest.wal.format.os.fdatasync", disk.fdatasync)
    return disk


@pytest.fixture
def maintenance() -> Iterator[threading.Event]:
    """The writer's maintenance waits for this event: it neither syncs nor closes anything."""
    allowed = threading.Event()
    yield allowed
    allowed.set()


@pytest.fixture
def writer(tmp_path: Path, disk: Disk, maintenance: threading.Event) -> Iterator[WalWriter]:
    created = False

    def trouble() -> None:
        if created:
            assert maintenance.wait(TIMEOUT)

    writer = WalWriter(tmp_path, Clock(), 10**9, trouble)
    created = True
    yield writer
    maintenance.set()
    disk.fails = False
    writer.close()


def append(writer: WalWriter, mac: int = 1) -> int:
    return writer.append([Report(mac, None, True, None)])


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*" + SUFFIX))


def records(path: Path) -> list[Heartbeat]:
    reader = SegmentReader(path)
    reader.look(patience=0)
    heartbeats = reader.take()
    reader.close()
    return heartbeats


def refused(path: Path) -> Refusal:
    """The last refusal in a segment."""
    reader = SegmentReader(path)
    refusal = reader.refusal
    reader.close()
    assert refusal is not None
    return refusal


def synced(writer: WalWriter) -> bool:
    try:
        writer.sync()
    except WalUnavailable:
        return False
    return True


def test_sync_is_skipped_when_nothing_was_appended_since_the_last(
    writer: WalWriter, disk: Disk
) -> None:
    append(writer)
    writer.sync()
    writer.sync()
    assert len(disk.synced) == 1
    append(writer)
    writer.sync()
    assert len(disk.synced) == 2


def test_sync_covers_segments_that_rotation_has_retired(
    writer: WalWriter, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_writer, "ROTATE_AT", 0)
    for mac in range(3):
        append(writer, mac)
    writer.sync()
    assert sorted(beat.mac for path in segments(tmp_path) for beat in records(path)) == [0, 1, 2]
    assert sorted(disk.synced) == [path.name for path in segments(tmp_path)]


def test_append_during_a_sync_needs_a_sync_of_its_own(writer: WalWriter, disk: Disk) -> None:
    append(writer)
    entered, leave = disk.pause()
    first = threading.Thread(target=writer.sync)
    first.start()
    assert entered.wait(TIMEOUT)
    append(writer)
    disk.before = lambda: None
    second = threading.Thread(target=writer.sync)
    second.start()
    leave.set()
    first.join(TIMEOUT)
    second.join(TIMEOUT)
    assert len(disk.synced) == 2


def test_failed_sync_refuses_until_the_segment_is_closed_and_a_new_one_succeeds(
    writer: WalWriter, disk: Disk, tmp_path: Path, maintenance: threading.Event
) -> None:
    (old,) = segments(tmp_path)
    received = append(writer)
    before = Clock().now()
    disk.fails = True
    with pytest.raises(WalUnavailable, match="Input/output error"):
        writer.sync()
    refusal = refused(old)
    assert received <= before <= refusal.start <= Clock().now()
    assert refusal.stop is None

    # The kernel may drop what it could not write and report success after that.
    disk.fails = False
    with pytest.raises(WalUnavailable, match="the disk has failed"):
        writer.sync()
    assert disk.synced == []

    again = append(writer, 2)
    (new,) = {*segments(tmp_path)} - {old}
    assert [beat.mac for beat in records(new)] == [2]
    ended = refused(old)
    assert ended.start == refusal.start
    assert ended.stop is not None
    assert ended.stop <= again
    with pytest.raises(WalUnavailable):
        writer.sync()

    maintenance.set()
    eventually(lambda: synced(writer))
    append(writer, 3)
    writer.sync()
    assert disk.synced[-1] == new.name
    assert [beat.mac for path in (old, new) for beat in records(path)] == [1, 2, 3]


def test_reply_fails_if_maintenance_could_not_sync_the_segment(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_writer, "ROTATE_AT", 0)
    created, paused, leave = threading.Event(), threading.Event(), threading.Event()

    def trouble() -> None:
        if created.is_set():
            paused.set()
            assert leave.wait(TIMEOUT)

    writer = WalWriter(tmp_path, Clock(), 10**9, trouble)
    created.set()
    assert paused.wait(TIMEOUT)
    append(writer, 1)
    append(writer, 2)  # in a new segment
    disk.fails = True
    writer._close_retired()  # as the paused maintenance does
    disk.fails = False
    assert not synced(writer)
    writer._close_retired()
    assert synced(writer)
    leave.set()
    writer.close()


def test_sync_after_close_does_nothing(writer: WalWriter, maintenance: threading.Event) -> None:
    append(writer)
    maintenance.set()
    writer.close()
    writer.sync()


def test_kernel_may_sync_only_a_segment_whose_name_is_synced(writer: WalWriter) -> None:
    append(writer)
    assert writer.begin_sync() is None
    writer.sync()
    append(writer)
    assert writer.begin_sync() is not None


def test_kernel_may_not_sync_while_other_segments_need_it(
    writer: WalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(writer)
    writer.sync()
    monkeypatch.setattr(wal_writer, "ROTATE_AT", 0)
    append(writer)
    writer.sync()
    assert writer.begin_sync() is None


def test_kernel_may_not_sync_while_a_sync_runs(writer: WalWriter, disk: Disk) -> None:
    append(writer)
    writer.sync()
    append(writer)
    entered, leave = disk.pause()
    thread = threading.Thread(target=writer.sync)
    thread.start()
    assert entered.wait(TIMEOUT)
    assert writer.begin_sync() is None
    leave.set()
    thread.join(TIMEOUT)
    assert writer.begin_sync() is not None


def test_failed_sync_in_the_kernel_refuses_from_its_beginning(
    writer: WalWriter, disk: Disk, tmp_path: Path
) -> None:
    (old,) = segments(tmp_path)
    append(writer)
    writer.sync()
    append(writer)
    sync = writer.begin_sync()
    assert sync is not None
    error = writer.end_failed_sync(sync, OSError(errno.EIO, "the disk has failed"))
    assert "the disk has failed" in str(error)
    assert refused(old) == Refusal(sync.started, None)
    with pytest.raises(WalUnavailable):
        writer.sync()
    assert writer.begin_sync() is None
