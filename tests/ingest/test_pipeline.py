import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import pytest

from monitor.clock import Clock
from monitor.ingest.parse import Report
from monitor.ingest.pipeline import Pipeline
from monitor.ingest.wal.format import HEADER_SIZE, SUFFIX
from monitor.ingest.wal.writer import WalUnavailable, WalWriter
from monitor.model import DAY, MINUTE, SECOND, Heartbeat
from monitor.store.interface import CoverageSpan, StoreRejected, StoreUnavailable
from monitor.store.sqlite import SqliteStore
from tests.test_scheduler import SettableClock
from tests.waiting import eventually


class TestedStore(SqliteStore):
    """A SQLite store that can be unavailable or refuse some heartbeats."""

    __test__ = False
    away: set[str]
    refused: set[int]

    def __init__(self, path: Path) -> None:
        super().__init__(path, DAY, writable=True)
        self.away, self.refused = set(), set()

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Append, unless the test makes it fail."""
        self._here("append")
        super().append([beat for beat in heartbeats if beat.mac not in self.refused])
        refused = [(beat, "simulated failure") for beat in heartbeats if beat.mac in self.refused]
        if refused:
            raise StoreRejected(refused)

    def announce(self, *arguments: Any) -> None:
        """Append, unless the test makes it fail."""
        self._here("announce")
        super().announce(*arguments)

    def add_coverage(self, span: CoverageSpan) -> None:
        """Append, unless the test makes it fail."""
        self._here("add_coverage")
        super().add_coverage(span)

    def _here(self, name: str) -> None:
        if name in self.away:
            raise StoreUnavailable("simulated failure")


class Line:
    """A WAL writer, a pipeline and its store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = TestedStore(directory / "beats.sqlite")
        self.store.migrate()
        self.writer = self.new_writer()
        self.noted: dict[str, int] = {}
        self.pipeline = self.new_pipeline()

    def new_writer(self, limit: int = 10**9) -> WalWriter:
        return WalWriter(self.directory / "spool", Clock(), limit)

    def new_pipeline(self) -> Pipeline:
        return Pipeline(self.directory, "here", self.store, Clock(), self.noted.update)

    def ship(self) -> None:
        """Ship everything, and report coverage."""
        until = Clock().now()
        while self.pipeline.step():
            pass
        eventually(lambda: self.covered_until() > until)

    def step_and_report_coverage(self) -> None:
        """Ship one step, and report coverage even if it is not due."""
        self.pipeline.step()
        eventually(lambda: self.covered_until() >= Clock().now() - 100)

    def covered_until(self) -> int:
        """Report coverage; return the end of the newest span in the store."""
        self.pipeline.observe()
        self.pipeline.store_coverage()
        return max((span.until for span in self.covered()), default=0)

    def stored(self) -> list[Heartbeat]:
        return list(self.store.heartbeats(range(100), 0, 1 << 50))

    def covered(self) -> list[CoverageSpan]:
        return self.store.coverage(0, 1 << 50)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    yield line
    line.pipeline.close()
    line.writer.close()
    line.store.close()


def beat(mac: int, **metrics: float) -> list[Report]:
    return [Report(mac, None, True, metrics or None)]


def test_wal_heartbeats_are_stored_and_announced_and_metric_names_noted(line: Line) -> None:
    cursor = line.store.arrivals(None).cursor
    times = [line.writer.append(beat(mac, battery=3.0)) for mac in (1, 2)]
    line.ship()
    assert [(b.mac, b.time, b.live) for b in line.stored()] == [
        (1, times[0], True),
        (2, times[1], True),
    ]
    assert sorted(line.store.arrivals(cursor).seen) == [(1, times[0], True), (2, times[1], True)]
    assert line.noted == {"battery": 1}


def test_metric_names_are_noted_once_a_day(line: Line) -> None:
    clock = Clock()
    notes: list[dict[str, int]] = []
    line.pipeline.close()
    line.pipeline = Pipeline(
        line.directory, "here", line.store, clock, lambda names: notes.append(dict(names))
    )
    for _ in range(2):
        line.writer.append(beat(1, battery=3.0))
        line.pipeline.step()
    assert notes == [{"battery": 1}]
    tomorrow = clock.now() + DAY
    with patch.object(Clock, "now", lambda _clock: tomorrow):
        line.writer.append(beat(2, battery=3.0, rssi=-70.0))
        line.pipeline.step()
    assert notes == [{"battery": 1}, {"battery": 2, "rssi": 2}]


@pytest.mark.parametrize("step", ["append", "announce", "add_coverage"])
def test_unavailable_store_causes_no_loss_and_no_duplicates(line: Line, step: str) -> None:
    line.ship()
    line.store.away = {step}
    expected = []
    for mac in range(3):
        expected.append(line.writer.append(beat(mac)))
        with pytest.raises(StoreUnavailable):
            line.step_and_report_coverage()
    line.store.away = set()
    line.ship()
    assert [b.time for b in line.stored()] == expected


def test_coverage_never_exceeds_what_is_stored(line: Line) -> None:
    line.ship()
    received = line.writer.append(beat(1))
    line.store.away = {"append"}
    with pytest.raises(StoreUnavailable):
        line.pipeline.step()
    assert line.covered_until() < received


def test_refused_row_becomes_a_dead_letter_and_the_rest_is_stored(line: Line) -> None:
    line.store.refused = {2}
    for mac in (1, 2, 3):
        line.writer.append(beat(mac))
    line.ship()
    assert [b.mac for b in line.stored()] == [1, 3]
    (letter,) = (line.directory / "dead-letters.ndjson").read_text().splitlines()
    assert json.loads(letter)["mac_address"] == "00:00:00:00:00:02"
    assert json.loads(letter)["reason"] == "simulated failure"
    line.ship()
    assert len((line.directory / "dead-letters.ndjson").read_text().splitlines()) == 1


def test_new_shipper_continues_where_the_last_one_stopped(line: Line) -> None:
    line.writer.append(beat(1))
    line.ship()
    line.pipeline.close()
    line.store.forget(1)
    line.writer.append(beat(2))
    line.pipeline = line.new_pipeline()
    line.ship()
    assert [b.mac for b in line.stored()] == [2]


def test_history_in_a_batch_is_not_live_and_is_announced_with_its_own_time(line: Line) -> None:
    cursor = line.store.arrivals(None).cursor
    old = Clock().now() - 5 * MINUTE
    line.writer.append([Report(1, old, False, None), Report(2, old, True, None)])
    line.ship()
    seen = {s.mac: s for s in line.store.arrivals(cursor).seen}
    assert (seen[1].time, seen[1].live) == (old, False)
    assert seen[2].live
    assert seen[2].time > old


def test_coverage_is_continuous_while_a_worker_runs(line: Line) -> None:
    line.ship()
    line.ship()
    line.ship()
    assert len({span.start for span in line.covered()}) == 1


def test_refusal_is_excluded_from_coverage(line: Line) -> None:
    line.ship()
    line.writer.refuse()
    before = line.covered_until()
    again = line.writer.append(beat(1))
    line.ship()
    starts = sorted({span.start for span in line.covered()})
    assert len(starts) == 2
    assert before < starts[1]
    assert starts[1] <= again + 1


def test_clean_stop_reports_a_final_span_and_leaves_no_segment(line: Line) -> None:
    line.writer.append(beat(1))
    line.ship()
    line.writer.close()
    while line.pipeline.step():
        pass
    line.pipeline.close_coverage()
    assert max(line.covered(), key=lambda span: span.until).closing
    assert list((line.directory / "spool").glob("*" + SUFFIX)) == []
    line.writer = line.new_writer()


def test_full_wal_refuses_and_accepts_again_after_shipping(line: Line) -> None:
    line.ship()
    line.writer.close()
    line.writer = line.new_writer(limit=2 * HEADER_SIZE)

    def refused() -> bool:
        try:
            line.writer.append(beat(1))
        except WalUnavailable:
            return True
        return False

    eventually(refused)

    def accepted() -> bool:
        line.pipeline.step()
        return not refused()

    eventually(accepted)
    line.ship()
    assert len({span.start for span in line.covered()}) >= 2


def test_slow_store_is_not_reported_as_clock_error(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SettableClock()
    pipeline = Pipeline(line.directory, "here", line.store, clock, line.noted.update)

    def slow() -> int:
        answer = clock.now()
        clock.ahead += 6 * SECOND
        return answer

    monkeypatch.setattr(line.store, "ping", slow)
    pipeline.step()
    assert pipeline.clock_offset == 0
    monkeypatch.setattr(line.store, "ping", lambda: clock.now() - 6 * SECOND)
    clock.ahead += DAY
    pipeline.step()
    assert -6 * SECOND <= pipeline.clock_offset < -5 * SECOND
    pipeline.close()


class BlockedStore(TestedStore):
    """A store in which the first write of sensor 1 waits until the test allows it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: list[int] = []
        self.allowed, self.second = Event(), Event()
        self.fails = False

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Append; the first write of sensor 1 only when it is allowed."""
        mac = heartbeats[0].mac
        first = mac == 1 and 1 not in self.calls
        self.calls.append(mac)
        if first:
            assert self.allowed.wait(30)
            if self.fails:
                raise StoreUnavailable("simulated failure")
        super().append(heartbeats)
        if mac == 2:
            self.second.set()


@pytest.fixture
def blocked(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BlockedStore, Pipeline]]:
    """Two workers have received one heartbeat each, which become one chunk each."""
    monkeypatch.setattr("monitor.ingest.pipeline.CHUNK", 1)
    started = line.writer.append(beat(1))
    eventually(lambda: Clock().now() > started)  # for the order of the segments
    other = line.new_writer()
    other.append(beat(2))
    store = BlockedStore(line.directory / "beats.sqlite")
    pipeline = Pipeline(line.directory, "here", store, Clock(), line.noted.update)
    yield store, pipeline
    store.allowed.set()
    pipeline.close()
    store.close()
    other.close()


def test_next_chunk_is_written_while_the_store_writes_the_first_one(
    line: Line, blocked: tuple[BlockedStore, Pipeline]
) -> None:
    store, pipeline = blocked
    cursor = store.arrivals(None).cursor
    with ThreadPoolExecutor(1) as thread:
        step = thread.submit(pipeline.step)
        assert store.second.wait(30)
        assert store.arrivals(cursor).seen == []
        store.allowed.set()
        assert step.result(30)
    while pipeline.step():
        pass
    assert [seen.mac for seen in store.arrivals(cursor).seen] == [1, 2]
    assert sorted(store.calls) == [1, 2]


def test_watermark_excludes_a_chunk_that_is_being_written(
    line: Line, blocked: tuple[BlockedStore, Pipeline]
) -> None:
    store, pipeline = blocked
    cursor = store.arrivals(None).cursor
    store.allowed.set()
    pipeline.step()
    arrivals = store.arrivals(cursor)
    (first,) = arrivals.seen
    assert store.second.wait(30)
    second = next(b.received for b in line.stored() if b.mac == 2)
    assert first.mac == 1
    assert arrivals.watermarks["here"] < second


def test_chunk_after_a_failed_one_is_written_again_and_announced_once(
    line: Line, blocked: tuple[BlockedStore, Pipeline]
) -> None:
    store, pipeline = blocked
    cursor = store.arrivals(None).cursor
    store.fails = True
    store.allowed.set()
    with pytest.raises(StoreUnavailable):
        pipeline.step()
    while pipeline.step():
        pass
    assert sorted(store.calls) == [1, 1, 2, 2]
    assert [b.mac for b in line.stored()] == [1, 2]
    assert [seen.mac for seen in store.arrivals(cursor).seen] == [1, 2]
