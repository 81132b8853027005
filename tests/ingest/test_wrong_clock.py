"""A host whose clock is far from the store's refuses heartbeats and reports the reason."""

from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.parse import Report
from monitor.ingest.status import ClockCheck, IngestStatus
from monitor.ingest.wal.reader import WalReader
from monitor.ingest.wal.writer import WalUnavailable, WalWriter
from monitor.model import MINUTE, SECOND
from tests.waiting import eventually

REPORT = Report(1, None, True, None)


def write_offset(path: Path, offset: int, ago: int = 0) -> None:
    status.write(path, IngestStatus(True, "", Clock().now() - ago, clock_offset=offset))


def test_only_a_large_and_recent_clock_offset_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / status.FILE
    check = ClockCheck(path, Clock())
    assert check() is None
    for offset in (0, -10 * SECOND, 10 * SECOND):
        write_offset(path, offset)
        assert check() is None
    for offset in (-11 * SECOND, 60 * MINUTE):
        write_offset(path, offset)
        assert "off this host's" in str(check())
    write_offset(path, 60 * MINUTE, ago=MINUTE)
    assert check() is None
    for damaged in (b"{", b"\xff\xfe", b'{"a":' + b"[" * 100_000, b"[]"):
        path.write_bytes(damaged)
        assert check() is None


def test_wal_refuses_while_the_clock_is_wrong_and_reports_the_refusal(tmp_path: Path) -> None:
    path = tmp_path / status.FILE
    writer = WalWriter(tmp_path / "spool", Clock(), 10**9, ClockCheck(path, Clock()))
    backlog = WalReader(tmp_path / "spool")
    try:
        writer.append([REPORT])
        write_offset(path, 60 * MINUTE)
        eventually(lambda: _refused(writer))
        with pytest.raises(WalUnavailable, match="off this host's"):
            writer.append([REPORT])
        (refusal,) = backlog.look(Clock().now()).refusals
        assert refusal.stop is None
        write_offset(path, 0)
        eventually(lambda: not _refused(writer))
        (refusal,) = backlog.look(Clock().now()).refusals
        assert refusal.stop is not None
    finally:
        backlog.close()
        writer.close()


def _refused(writer: WalWriter) -> bool:
    try:
        writer.append([REPORT])
    except WalUnavailable:
        return True
    return False


class _SettableClock(Clock):
    """A clock that the test sets."""

    ahead = 0

    def now(self) -> int:
        return super().now() + self.ahead


def test_refusal_ends_even_if_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = _SettableClock()
    clock.ahead = 60 * MINUTE
    writer, backlog = (
        WalWriter(tmp_path / "spool", clock, 10**9),
        WalReader(tmp_path / "spool"),
    )
    try:
        writer.refuse()
        clock.ahead = 0
        writer.append([REPORT])
        (refusal,) = backlog.look(clock.now()).refusals
        assert refusal.stop is not None
        assert refusal.start <= refusal.stop <= clock.now()
    finally:
        backlog.close()
        writer.close()
