"""Group commit: one sync of the WAL for all heartbeats of a round, and their replies after it."""

import contextlib
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from http import HTTPStatus
from queue import SimpleQueue
from typing import Protocol

from monitor.ingest.problem import Problem
from monitor.ingest.wal.kernel_sync import KernelSync
from monitor.ingest.wal.writer import UnfinishedSync, WalUnavailable
from monitor.server.messages import Response, Send

_RETRY_AFTER = "5"
"""Seconds."""

_Replies = list[tuple[Send, Response]]


class Log(Protocol):
    """What is synced; see `WalWriter`."""

    def sync(self) -> None:
        """Raises WalUnavailable."""

    def begin_sync(self) -> UnfinishedSync | None:
        """None: `sync` must be called."""

    def end_failed_sync(self, sync: UnfinishedSync, error: OSError) -> WalUnavailable:
        """The reason why the sync failed."""


class GroupCommit:
    """Sends each reply when a sync that began after its append has returned.

    While a sync runs, the replies of the next round gather. The kernel runs the syncs; a thread
    runs those that take more than that, or all if the kernel can't.

    Created in each worker, on its event loop; its methods are called there, except where they say
    so.
    """

    def __init__(
        self, loop: AbstractEventLoop, log: Log | None, refused: Callable[[int], None]
    ) -> None:
        """`log`: has what was appended before. None: replies are sent at once. `refused`: called
        with the number of requests that are refused because a sync failed."""
        self._refused = refused
        self._loop = loop
        self._waiting: _Replies = []
        self._running = False
        self._rounds: SimpleQueue[_Replies | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._kernel: KernelSync | None = None
        if log is not None:
            self._log = log
            self._thread = threading.Thread(target=self._work, name="group-commit", daemon=True)
            self._thread.start()
            # Without it, syncs take more processor time, and replies are as safe.
            with contextlib.suppress(OSError):
                self._kernel = KernelSync(loop)

    def send(self, send: Send, response: Response) -> None:
        """Sends the reply to a heartbeat that was appended."""
        if self._thread is None:
            send(response)
            return
        self._waiting.append((send, response))
        if not self._running:
            self._running = True
            # At the end of this round of the loop, so that it gathers what has arrived together.
            self._loop.call_soon(self._begin)

    def send_from_thread(self, send: Send, response: Response, appended: bool) -> None:
        """Sends a reply from any thread."""
        # The loop is closed when the worker was told to stop at once.
        with contextlib.suppress(RuntimeError):
            if appended:
                self._loop.call_soon_threadsafe(self.send, send, response)
            else:
                self._loop.call_soon_threadsafe(send, response)

    def close(self) -> None:
        """Waits for the syncs that are running."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
        self._rounds.put(None)
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        replies, self._waiting = self._waiting, []
        if not (self._kernel and self._begin_in_kernel(self._kernel, replies)):
            self._rounds.put(replies)

    def _begin_in_kernel(self, kernel: KernelSync, replies: _Replies) -> bool:
        sync = self._log.begin_sync()
        if sync is None:
            return False

        def end(error: OSError | None) -> None:
            self._end(replies, self._log.end_failed_sync(sync, error) if error else None)

        try:
            kernel.begin(sync.file, end)
        except OSError:
            return False
        return True

    def _work(self) -> None:
        while (replies := self._rounds.get()) is not None:
            failure: WalUnavailable | None = None
            try:
                self._log.sync()
            except WalUnavailable as error:
                failure = error
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end, replies, failure)

    def _end(self, replies: _Replies, failure: WalUnavailable | None) -> None:
        if failure is not None:
            self._refused(len(replies))
        for send, response in replies:
            send(response if failure is None else not_stored(failure).response())
        if self._waiting:
            self._loop.call_soon(self._begin)
        else:
            self._running = False


def not_stored(error: WalUnavailable) -> Problem:
    """The response to a valid heartbeat that could not be stored."""
    return unavailable(f"heartbeats can't be stored right now: {error}")


def unavailable(detail: str) -> Problem:
    """A response that asks the sensor to send again soon."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": _RETRY_AFTER})
