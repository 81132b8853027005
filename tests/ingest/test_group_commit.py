"""Replies to heartbeats are sent after a sync of the WAL; on a real event loop."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import pytest

from monitor.clock import Clock
from monitor.ingest.group_commit import GroupCommit, Log
from monitor.ingest.parse import Report
from monitor.ingest.wal.kernel_sync import Done, KernelSync
from monitor.ingest.wal.writer import UnfinishedSync, WalUnavailable, WalWriter
from monitor.server.messages import Response
from tests.ingest.client import LoopThread

Made = TypeVar("Made")

TIMEOUT = 20.0
STORED = Response(200, [("Content-Type", "application/json")], b"{}")


class Disk:
    """A log whose syncs last until the test releases them."""

    def __init__(self) -> None:
        self.syncs = 0
        self.failure: WalUnavailable | None = None
        self._started, self._released = threading.Semaphore(0), threading.Semaphore(0)

    def sync(self) -> None:
        """Raises WalUnavailable if the test sets `failure`."""
        self.syncs += 1
        self._started.release()
        assert self._released.acquire(timeout=TIMEOUT)
        if self.failure is not None:
            raise self.failure

    def begin_sync(self) -> UnfinishedSync | None:
        """The kernel can't do these."""
        return None

    def end_failed_sync(self, sync: UnfinishedSync, error: OSError) -> WalUnavailable:
        raise NotImplementedError

    def wait_for_sync(self) -> None:
        assert self._started.acquire(timeout=TIMEOUT)

    def release(self) -> None:
        """End the current sync, or the next one."""
        self._released.release()


def on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], Made]) -> Made:
    """Call a function on the loop, and return its result."""

    async def run() -> Made:
        return call()

    return asyncio.run_coroutine_threadsafe(run(), loop).result(TIMEOUT)


class Server:
    """A group commit on a loop, and the responses that it sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Log | None) -> None:
        self.loop = loop
        self.commit = on_loop(loop, lambda: GroupCommit(loop, log, self._refused))
        self.sent: SimpleQueue[Response] = SimpleQueue()
        self.refused = 0

    def close(self) -> None:
        on_loop(self.loop, self.commit.close)

    def _refused(self, number: int) -> None:
        self.refused += number

    def reply(self, count: int = 1) -> None:
        """Appended heartbeats are to be answered; returns when the loop has handled that."""
        for _ in range(count):
            self.loop.call_soon_threadsafe(self.commit.send, self.sent.put, STORED)
        self.settle()

    def settle(self) -> None:
        """Wait until the loop has done all that was planned before."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(TIMEOUT)

    def received(self, count: int) -> list[Response]:
        """The next responses."""
        return [self.sent.get(timeout=TIMEOUT) for _ in range(count)]


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def server(loop: LoopThread, disk: Disk) -> Iterator[Server]:
    server = Server(loop.loop, disk)
    yield server
    server.close()


def test_reply_waits_for_the_sync(server: Server, disk: Disk) -> None:
    server.reply()
    disk.wait_for_sync()
    server.settle()
    assert server.sent.empty()
    disk.release()
    assert server.received(1) == [STORED]


def test_replies_that_arrive_during_a_sync_share_the_next_one(server: Server, disk: Disk) -> None:
    server.reply()
    disk.wait_for_sync()
    server.reply(500)
    assert server.sent.empty()
    disk.release()
    assert server.received(1) == [STORED]
    disk.wait_for_sync()
    server.settle()
    assert server.sent.empty()
    disk.release()
    assert server.received(500) == [STORED] * 500
    assert disk.syncs == 2


def test_replies_of_one_round_of_the_loop_share_a_sync(server: Server, disk: Disk) -> None:
    def arrive_together() -> None:
        for _ in range(100):
            server.commit.send(server.sent.put, STORED)

    server.loop.call_soon_threadsafe(arrive_together)
    disk.release()
    assert server.received(100) == [STORED] * 100
    assert disk.syncs == 1


def test_failed_sync_turns_only_the_replies_of_its_round_into_503(
    server: Server, disk: Disk
) -> None:
    server.reply()
    disk.wait_for_sync()
    server.reply(3)
    disk.failure = WalUnavailable("the disk has failed")
    disk.release()
    (answer,) = server.received(1)
    assert answer.status == 503
    assert dict(answer.headers)["Retry-After"] == "5"
    assert b"the disk has failed" in answer.body
    assert server.refused == 1
    disk.wait_for_sync()
    disk.failure = None
    disk.release()
    assert server.received(3) == [STORED] * 3


def test_reply_from_a_thread_waits_for_the_sync_if_something_was_appended(
    server: Server, disk: Disk
) -> None:
    refusal = Response(400, [], b"")
    server.commit.send_from_thread(server.sent.put, STORED, appended=True)
    server.commit.send_from_thread(server.sent.put, refusal, appended=False)
    assert server.received(1) == [refusal]
    disk.wait_for_sync()
    disk.release()
    assert server.received(1) == [STORED]


def test_reply_from_a_thread_after_the_end_of_the_loop_is_dropped() -> None:
    loop = LoopThread()
    commit = GroupCommit(loop.loop, None, lambda _number: None)
    loop.close()
    sent: SimpleQueue[Response] = SimpleQueue()
    for appended in (True, False):
        commit.send_from_thread(sent.put, STORED, appended)
    assert sent.empty()
    commit.close()


def test_close_waits_for_the_sync_of_replies_that_were_passed_on(loop: LoopThread) -> None:
    disk = Disk()
    server = Server(loop.loop, disk)
    server.reply()
    disk.wait_for_sync()
    closing = threading.Thread(target=server.close)
    closing.start()
    assert closing.is_alive()
    disk.release()
    closing.join(TIMEOUT)
    assert not closing.is_alive()
    assert server.received(1) == [STORED]


def test_without_sync_replies_are_sent_at_once(loop: LoopThread) -> None:
    server = Server(loop.loop, None)
    server.reply(3)
    assert server.sent.qsize() == 3
    server.commit.send_from_thread(server.sent.put, STORED, appended=True)
    assert server.received(4) == [STORED] * 4
    server.close()


class Wal(WalWriter):
    """A real log that notes which way its syncs went."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, Clock(), 10**9)
        self.on_thread = self.in_kernel = 0

    def add(self) -> None:
        """Append a heartbeat."""
        self.append([Report(1, None, True, None)])

    def sync(self) -> None:
        self.on_thread += 1
        super().sync()

    def begin_sync(self) -> UnfinishedSync | None:
        sync = super().begin_sync()
        self.in_kernel += sync is not None
        return sync


@pytest.fixture
def wal(tmp_path: Path) -> Iterator[Wal]:
    wal = Wal(tmp_path)
    wal.add()
    wal.sync()  # the first one takes more than the kernel does
    wal.on_thread = 0
    yield wal
    wal.close()


def test_kernel_syncs_the_usual_rounds(loop: LoopThread, wal: Wal) -> None:
    server = Server(loop.loop, wal)
    for round_ in range(1, 4):
        wal.add()
        server.reply()
        assert server.received(1) == [STORED]
        assert (wal.in_kernel, wal.on_thread) == (round_, 0)
    server.close()


def test_thread_syncs_what_the_kernel_can_not(
    loop: LoopThread, wal: Wal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, segment = os.pipe(), wal._segment
    assert segment is not None
    monkeypatch.setattr(wal, "begin_sync", lambda: UnfinishedSync(segment, pipe[0], 0))
    server = Server(loop.loop, wal)
    wal.add()
    server.reply()
    assert server.received(1) == [STORED]
    assert wal.on_thread == 1
    server.close()
    for end in pipe:
        os.close(end)


def test_thread_syncs_all_if_the_system_has_no_kernel_syncs(
    loop: LoopThread, wal: Wal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "z80")
    server = Server(loop.loop, wal)
    wal.add()
    server.reply()
    assert server.received(1) == [STORED]
    assert (wal.in_kernel, wal.on_thread) == (0, 1)
    server.close()


def test_failed_sync_in_the_kernel_turns_its_replies_into_503_and_gives_the_segment_up(
    loop: LoopThread, wal: Wal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kernel: KernelSync, _file: int, done: Done) -> None:
        kernel._loop.call_soon(done, OSError(errno.EIO, "the disk has failed"))

    monkeypatch.setattr(KernelSync, "begin", fail)
    server = Server(loop.loop, wal)
    wal.add()
    server.reply(2)
    for answer in server.received(2):
        assert answer.status == 503
        assert b"the disk has failed" in answer.body
    segment = wal._segment
    assert segment is not None
    assert segment.refusing
    assert segment.failed
    wal.add()
    assert wal._segment is not segment
    server.close()


def test_close_waits_for_the_kernel(loop: LoopThread, wal: Wal) -> None:
    server = Server(loop.loop, wal)

    def pass_on_and_close() -> None:
        wal.add()
        server.commit.send(server.sent.put, STORED)
        server.commit._begin()
        server.commit.close()
        assert server.sent.qsize() == 1

    on_loop(loop.loop, pass_on_and_close)
