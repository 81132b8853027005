"""A process that sends heartbeats over kept-alive and new connections, and writes down what
happened to each: `python -m tests.e2e.load PORT FILE`."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self, TextIO

from monitor.model import format_mac, format_time

KEPT, NEW = "kept", "new"
"""Connections with one heartbeat after another, and with one heartbeat each."""
CONNECTIONS = {KEPT: 20, NEW: 20}
RATES = {KEPT: 33.0, NEW: 18.0}
"""Heartbeats per second of each connection: together about 1,000."""
_TIMEOUT = 20.0
_RETRY = 0.05
"""Seconds to wait after a refused connection."""

ACKNOWLEDGED = "acknowledged"
REFUSED = "refused"
"""No connection: nothing listens."""
UNANSWERED = "unanswered"
"""The connection ended before the first byte of a reply."""
CUT = "cut"
"""The connection ended within a reply."""
TIMED_OUT = "timed out"


class Result(NamedTuple):
    """What happened to one heartbeat."""

    at: float
    """time.monotonic() at the end."""
    kind: str
    outcome: str
    """One of the above, or a status such as "503"."""
    idle: float
    """Seconds between the reply before and this request; 0 for the first of a connection."""
    mac: int
    time: int
    detail: str

    @property
    def first(self) -> bool:
        """Whether it was the first heartbeat on its connection."""
        return self.idle == 0


class Load:
    """The process, and what it has written so far."""

    def __init__(self, port: int, file: Path) -> None:
        file.touch()
        self._file = file.open()
        self._results: list[Result] = []
        self._process = subprocess.Popen([sys.executable, "-m", __name__, str(port), str(file)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self._file.close()

    def results(self) -> list[Result]:
        """All results so far, in order of time."""
        while True:
            start = self._file.tell()
            line = self._file.readline()
            if not line.endswith("\n"):
                self._file.seek(start)
                return self._results
            self._results.append(_result(line[:-1]))

    def acknowledged(self, kind: str, since: float) -> int:
        """The number of acknowledged heartbeats since a moment (time.monotonic())."""
        return sum(
            r.at > since and r.kind == kind and r.outcome == ACKNOWLEDGED for r in self.results()
        )

    def stop(self) -> None:
        """Returns when the heartbeats on their way have a result."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(_TIMEOUT + 10) == 0


def _result(line: str) -> Result:
    at, kind, outcome, idle, mac, moment, detail = line.split("\t")
    return Result(float(at), kind, outcome, float(idle), int(mac), int(moment), detail)


class _Ended(Exception):
    """The connection ended before the reply was complete."""

    def __init__(self, received: int, how: str) -> None:
        super().__init__(f"{how} after {received} bytes")
        self.outcome = CUT if received else UNANSWERED


class _Sensor:
    """Sends heartbeats, each with a time of its own."""

    def __init__(self, kind: str, number: int, port: int, out: TextIO) -> None:
        self._kind, self._port, self._out = kind, port, out
        self._mac = 0x020000000000 + (number + 1) + (1000 if kind == NEW else 0)
        self._pause = 1 / RATES[kind]
        self._phase = self._pause * number / CONNECTIONS[kind]
        self._time = 0
        self._socket: socket.socket | None = None
        self._answered = 0.0
        """When the last reply on the connection was complete; 0 if there was none."""

    async def run(self, stopping: asyncio.Event) -> None:
        due = time.monotonic() + self._phase
        while not stopping.is_set():
            await asyncio.sleep(due - time.monotonic())
            # A sensor that was delayed does not catch up.
            due = max(due + self._pause, time.monotonic())
            await self._beat()
        self._close()

    async def _beat(self) -> None:
        self._time = max(self._time + 1, time.time_ns() // 1_000_000)
        started = time.monotonic()
        idle = started - self._answered if self._socket and self._answered else 0.0
        detail = ""
        try:
            async with asyncio.timeout(_TIMEOUT):
                outcome, keep = await self._ask()
        except TimeoutError:
            outcome, keep = TIMED_OUT, False
        except _Ended as error:
            outcome, keep, detail = error.outcome, False, str(error)
        except OSError as error:
            outcome, keep, detail = REFUSED, False, str(error)
        ended = time.monotonic()
        self._answered = ended
        if not keep or self._kind == NEW:
            self._close()
        row = (ended, self._kind, outcome, idle, self._mac, self._time, detail)
        print(*row, sep="\t", file=self._out)
        if outcome == REFUSED:
            await asyncio.sleep(_RETRY)

    async def _ask(self) -> tuple[str, bool]:
        """The outcome, and whether the connection stays open."""
        if self._socket is None:
            self._answered = 0.0
            self._socket = await _connected(self._port)
        body = f'{{"mac_address":"{format_mac(self._mac)}","time":"{format_time(self._time)}"}}'
        request = (
            f"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, request.encode())
        except OSError as error:
            raise _Ended(0, str(error)) from error
        head = (await _reply(self._socket)).partition(b"\r\n\r\n")[0].lower()
        status = head.split(b" ", 2)[1].decode()
        outcome = ACKNOWLEDGED if status.startswith("2") else status
        return outcome, b"\r\nconnection: close" not in head

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _connected(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    except BaseException:
        connection.close()
        raise
    return connection


async def _reply(connection: socket.socket) -> bytes:
    """A complete reply. Raises _Ended."""
    reply = b""
    while not _complete(reply):
        try:
            data = await asyncio.get_running_loop().sock_recv(connection, 65_536)
        except OSError as error:
            raise _Ended(len(reply), str(error)) from error
        if not data:
            raise _Ended(len(reply), "closed")
        reply += data
    return reply


def _complete(reply: bytes) -> bool:
    head, end, body = reply.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length)


def _sensors(port: int, out: TextIO) -> Iterator[_Sensor]:
    for kind, count in CONNECTIONS.items():
        for number in range(count):
            yield _Sensor(kind, number, port, out)


async def _main(port: int, file: Path) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    with file.open("w", buffering=1) as out:
        async with asyncio.TaskGroup() as tasks:
            for sensor in _sensors(port, out):
                tasks.create_task(sensor.run(stopping))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
