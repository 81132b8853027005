"""Sends reports at their planned moments, over a pool of keep-alive connections."""

import json
import select
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from queue import SimpleQueue
from typing import NamedTuple
from urllib.parse import urlsplit

from monitor.model import format_mac
from monitor.simulator.plan import PlannedHeartbeat
from monitor.simulator.record import Record
from monitor.simulator.tally import Tally

TIMEOUT = 10.0
_BACKLOG = 10_000
"""The maximum number of reports that wait for a connection."""
_STOP_LATENCY = 0.2
"""The maximum number of seconds from a call of `stop` to its effect."""
_IDLE = 1.0
"""Seconds after which an idle connection is not reused: the server may be closing it."""


class Target(NamedTuple):
    """The server. `url` is its base URL, without /heartbeat; "" is no token."""

    url: str
    token: str = ""


class Sender:
    """One run of a fleet against one server. Each heartbeat is sent once, without retries."""

    def __init__(self, target: Target, connections: int, tally: Tally, record: Record) -> None:
        self._target, self._connections = target, connections
        self._tally, self._record = tally, record
        self._queue: SimpleQueue[tuple[float, PlannedHeartbeat] | None] = SimpleQueue()
        # Not an Event: a signal handler may interrupt the thread that holds its lock.
        self._stopping = False

    def stop(self) -> None:
        """Stops `run`: requests in progress are finished, waiting reports are not sent."""
        self._stopping = True

    def run(self, reports: Iterable[PlannedHeartbeat]) -> None:
        """Blocks until all reports were sent and answered, or `stop` was called.

        Raises OSError if the record can't be written, and any exception from `reports`.
        """
        with ThreadPoolExecutor(self._connections, "sender") as pool:
            workers = [pool.submit(self._work) for _ in range(self._connections)]
            try:
                self._enqueue(reports)
            finally:
                for _ in workers:
                    self._queue.put(None)
        for worker in workers:
            worker.result()

    def _enqueue(self, reports: Iterable[PlannedHeartbeat]) -> None:
        started = time.monotonic()
        for report in reports:
            due = started + report.moment / 1000
            while not self._stopping and (early := due - time.monotonic()) > 0:
                time.sleep(min(early, _STOP_LATENCY))
            while not self._stopping and self._queue.qsize() >= _BACKLOG:
                time.sleep(0.01)
            if self._stopping:
                return
            self._queue.put((due, report))

    def _work(self) -> None:
        connection = _Connection(self._target)
        try:
            while (item := self._queue.get()) is not None:
                if self._stopping:
                    self._tally.skipped()
                else:
                    self._send(connection, *item)
        except BaseException:
            self.stop()
            raise
        finally:
            connection.close()

    def _send(self, connection: "_Connection", due: float, report: PlannedHeartbeat) -> None:
        mac = format_mac(report.mac)
        body = json.dumps({"mac_address": mac, **report.metrics}).encode()
        self._record.attempted(mac)
        started = time.monotonic()
        try:
            status, reply = connection.post(body)
        except (OSError, HTTPException) as error:
            self._tally.failed(_kind(error), started - due)
            return
        if 200 <= status < 300 and not self._record.acknowledged(mac, reply):
            self._tally.failed(f"status {status} without the stored time", started - due)
            return
        self._tally.replied(status, reply, time.monotonic() - started, started - due)


class _Connection:
    """One keep-alive connection, opened at the first request."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._http = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        head = [
            f"POST {parts.path.rstrip('/')}/heartbeat HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            "Content-Type: application/json",
        ]
        if target.token:
            head.append(f"Authorization: Bearer {target.token}")
        self._head = "\r\n".join([*head, "Content-Length: "]).encode()
        self._used = 0.0

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the reply. Raises OSError or HTTPException."""
        if time.monotonic() - self._used > _IDLE or self._closed_by_peer():
            self._http.close()
        try:
            if self._http.sock is None:
                self._http.connect()
            # One packet: HTTPConnection.request would send head and body separately.
            self._http.sock.sendall(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
            response = HTTPResponse(self._http.sock, method="POST")
            response.begin()
            reply = response.read()
        except (OSError, HTTPException):
            self._http.close()
            raise
        if response.will_close:
            self._http.close()
        self._used = time.monotonic()
        return response.status, reply

    def close(self) -> None:
        self._http.close()

    def _closed_by_peer(self) -> bool:
        if self._http.sock is None:
            return False
        poll = select.poll()
        poll.register(self._http.sock, select.POLLIN)
        return bool(poll.poll(0))


def _kind(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
