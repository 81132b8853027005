"""What a shipper does when something is missing or damaged: the store, its id, the WAL."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.parse import Report
from monitor.ingest.shipper import Shipper, source_id
from monitor.ingest.wal.writer import WalWriter
from monitor.model import DAY, Heartbeat
from monitor.store.interface import StoreUnavailable
from monitor.store.sqlite import SqliteStore
from tests.waiting import eventually


def test_shipper_that_starts_before_the_first_worker_waits_without_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path / "beats.sqlite", DAY, writable=True)
    store.migrate()
    shipper = Shipper(tmp_path, Clock(), lambda: store, lambda names: None)
    shipper.start()
    eventually(lambda: (tmp_path / status.FILE).exists())
    shipper.close()
    assert caplog.text == ""


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


def test_source_id_is_the_same_for_every_process_and_start(tmp_path: Path) -> None:
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
    store = SqliteStore(tmp_path / "beats.sqlite", DAY, writable=True)
    store.migrate()
    writer = WalWriter(tmp_path / "spool", Clock(), 10**9)
    shipper = Shipper(tmp_path, Clock(), lambda: store, lambda _names: None)
    shipper.start()
    writer.append([Report(1, None, True, None)])
    reader = SqliteStore(tmp_path / "beats.sqlite", DAY)
    eventually(lambda: list(reader.heartbeats([1], 0, 1 << 50)))
    reader.close()
    writer.close()
    shipper.close()
    assert "source-id is damaged" in caplog.text
    assert "Traceback" not in caplog.text
    assert source_id(tmp_path) == (tmp_path / "source-id").read_text("ascii")
    assert (tmp_path / "source-id.damaged").read_bytes() == damaged
