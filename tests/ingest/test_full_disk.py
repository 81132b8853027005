"""Workers and a shipper on a disk that is full."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.parse import Report
from monitor.ingest.shipper import Shipper
from monitor.ingest.wal.format import REFUSING_SUFFIX
from monitor.ingest.wal.writer import WalUnavailable, WalWriter
from monitor.model import DAY
from monitor.store.sqlite import SqliteStore
from tests.small_disk import small_disk
from tests.waiting import eventually


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with small_disk(tmp_path, "256k") as place:
        yield place


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


def fill_file(path: Path) -> None:
    """Fill the file system to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def test_disk_filled_by_the_wal_recovers_after_shipping(tmp_path: Path, disk: Path) -> None:
    writer = WalWriter(disk, Clock(), 10**9)
    kept = fill(writer)
    assert kept
    (tmp_path / "spool").symlink_to(disk)
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
    tmp_path: Path, disk: Path
) -> None:
    filler = disk / "filler"
    fill_file(filler)
    writer = WalWriter(disk, Clock(), 10**9)
    assert list(disk.glob("*" + REFUSING_SUFFIX))
    with pytest.raises(WalUnavailable):
        writer.append([Report(1, None, True, None)])
    (tmp_path / "spool").symlink_to(disk)
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
    assert not list(disk.glob("*" + REFUSING_SUFFIX))
    received = writer.append([Report(1, None, True, None)])
    assert covered[0].start <= received
    writer.close()
    shipper.close()
    assert [beat.received for beat in reader.heartbeats([1], 0, 1 << 50)] == [received]
    reader.close()


def test_writer_without_a_segment_can_be_closed_twice(tmp_path: Path, disk: Path) -> None:
    fill_file(disk / "filler")
    writer = WalWriter(disk, Clock(), 10**9)
    writer.close()
    with (tmp_path / "other").open("wb") as other:  # gets the number of the descriptor
        writer.close()
        other.write(b"x")
