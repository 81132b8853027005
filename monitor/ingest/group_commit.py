"""Group commit: one sync of the WAL for all heartbeats of a round, and their replies after it."""

import contextlib
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from http import HTTPStatus
from queue import SimpleQueue

from monitor.ingest.problem import Problem
from monitor.ingest.wal.writer import WalUnavailable
from monitor.server.messages import Response, Send

_RETRY_AFTER = "5"
"""Seconds."""

_LOOKS = 10
"""A sync takes as much processor time as five heartbeats. So after a round for which others had to
wait, the loop looks for further requests so many times (about 0.1 ms) before the next round."""

_Replies = list[tuple[Send, Response]]


class GroupCommit:
    """Sends each reply when a sync that began after its append has returned.

    While a sync runs on its thread, the replies of the next round gather. Created in each worker,
    on its event loop; its methods are called there, except where they say so.
    """

    def __init__(self, loop: AbstractEventLoop, sync: Callable[[], None] | None) -> None:
        """`sync`: makes everything appended before survive a power failure; called on a thread.
        Raises WalUnavailable. None: replies are sent at once."""
        self._loop = loop
        self._waiting: _Replies = []
        self._running = False
        self._rounds: SimpleQueue[_Replies | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        if sync is not None:
            self._thread = threading.Thread(target=self._work, args=(sync,), name="group-commit")
            self._thread.daemon = True
            self._thread.start()

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
        """Ends the thread."""
        self._rounds.put(None)
        if self._thread is not None:
            self._thread.join()

    def _gather(self, looks: int) -> None:
        """Begins a round when the loop has looked for requests so many more times."""
        if looks:
            self._loop.call_soon(self._gather, looks - 1)
        else:
            self._begin()

    def _begin(self) -> None:
        replies, self._waiting = self._waiting, []
        self._rounds.put(replies)

    def _work(self, sync: Callable[[], None]) -> None:
        while (replies := self._rounds.get()) is not None:
            failure: WalUnavailable | None = None
            try:
                sync()
            except WalUnavailable as error:
                failure = error
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end, replies, failure)

    def _end(self, replies: _Replies, failure: WalUnavailable | None) -> None:
        for send, response in replies:
            send(response if failure is None else not_stored(failure).response())
        if self._waiting:
            self._gather(_LOOKS)
        else:
            self._running = False


def not_stored(error: WalUnavailable) -> Problem:
    """The response to a valid heartbeat that could not be stored."""
    return unavailable(f"heartbeats can't be stored right now: {error}")


def unavailable(detail: str) -> Problem:
    """A response that asks the sensor to send again soon."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": _RETRY_AFTER})
