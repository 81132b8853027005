import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.format import HEADER_SIZE, SUFFIX
from monitor.ingest.wal.reader import SegmentReader, WalReader
from monitor.ingest.wal.writer import WalWriter


def report(mac: int, **metrics: float) -> Report:
    return Report(mac, None, True, metrics or None)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[WalWriter]:
    writer = WalWriter(tmp_path, Clock(), 10**9)
    yield writer
    writer.close()


def read(directory: Path) -> list[tuple[int, int]]:
    """(received, mac) of every record that a shipper would read."""
    backlog = WalReader(directory)
    backlog.look(Clock().now())
    found = []
    for reader in backlog.readers:
        while not reader.drained:
            found += [(beat.received, beat.mac) for beat in reader.take()]
    backlog.close()
    return found


def test_appended_record_is_read_with_the_returned_time(writer: WalWriter, tmp_path: Path) -> None:
    expected = [(writer.append([report(mac, load=0.5)]), mac) for mac in range(50)]
    assert read(tmp_path) == expected


def test_threads_append_whole_records_in_order_of_time(writer: WalWriter, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []

    def work(first: int) -> None:
        for mac in range(first, first + 300):
            done.append((writer.append([report(mac)]), mac))

    threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(tmp_path)
    assert sorted(found) == sorted(done)
    assert [received for received, _ in found] == sorted(received for received, _ in found)


_WRITER = """
import sys
from pathlib import Path
from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.writer import WalWriter
writer = WalWriter(Path(sys.argv[1]), Clock(), 10**9)
mac = 0
while True:
    mac += 1
    received = writer.append([Report(mac, None, True, {"m": 1.0})])
    sys.stdout.write(f"{received} {mac}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("after", [1, 500, 3_000])
def test_killed_writer_loses_no_record_that_append_returned(tmp_path: Path, after: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == after:
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    returned = [(int(a), int(b)) for a, b in (line.split() for line in lines[:-1])]
    found = read(tmp_path)
    assert set(returned) <= set(found)
    assert len(set(found)) == len(found) <= len(returned) + 2


def segment_bytes(directory: Path, count: int) -> tuple[bytes, list[tuple[int, int]], list[int]]:
    """The bytes of a segment, its records, and where each record ends."""
    writer = WalWriter(directory, Clock(), 10**9)
    (path,) = directory.glob("*" + SUFFIX)
    reader = SegmentReader(path)
    held, ends = [], []
    for mac in range(count):
        held.append((writer.append([report(mac, load=1.5)]), mac))
        reader.look(patience=0)
        ends.append(reader.end)
    reader.close()
    writer.close()
    return path.read_bytes(), held, ends


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_affects_only_the_records_it_touches(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole, held, ends = segment_bytes(tmp_path_factory.mktemp("whole"), 30)
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, min(len(whole), start + 200)))
    garbage = data.draw(st.binary(min_size=stop - start, max_size=stop - start))
    directory = tmp_path_factory.mktemp("damaged")
    (directory / f"{Clock().now():013d}-1-00{SUFFIX}").write_bytes(
        whole[:start] + garbage + whole[stop:]
    )
    begins = [HEADER_SIZE, *ends[:-1]]
    untouched = [
        row
        for row, begin, end in zip(held, begins, ends, strict=True)
        if end <= start or begin >= stop
    ]
    assert set(untouched) <= set(read(directory)) <= set(held)


def test_truncated_segment_keeps_its_whole_records(tmp_path: Path) -> None:
    whole, held, ends = segment_bytes(tmp_path / "whole", 10)
    for cut in range(ends[5], ends[6]):
        directory = tmp_path / str(cut)
        directory.mkdir()
        (directory / f"{Clock().now():013d}-1-00{SUFFIX}").write_bytes(whole[:cut])
        assert read(directory) == held[:6]


def test_append_over_the_file_size_limit_leaves_no_partial_record(
    tmp_path: Path,
) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.wal.writer import WalWriter, WalUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = WalWriter(Path(sys.argv[1]), Clock(), 10**9)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
writer.append([Report(1, None, True, None)])
try:
    writer.append([Report(n, None, True, {"load": 0.1}) for n in range(100, 400)])
except WalUnavailable:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append([Report(2, None, True, None)])
writer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
    assert [mac for _, mac in read(tmp_path)] == [1, 2]
