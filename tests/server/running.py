"""The server in this process, with applications, limits and a clock of the test's."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvloop

from monitor.server.http_server import HttpServer
from monitor.server.limits import Limits
from monitor.server.messages import Handler, Request, Response, Send
from monitor.server.wsgi import Application, WsgiPool
from tests.waiting import eventually

PATIENCE = 20.0
LIMITS = Limits()


def hello(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A page."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Echo:
    """A handler that answers with the body, or keeps requests until `release`."""

    body_limit = 100_000

    def __init__(self, keeps: bool = False) -> None:
        self.kept: list[tuple[Request, Send]] = []
        self.refusals = 0
        self._keeps = keeps

    def handle(self, request: Request, send: Send) -> None:
        if self._keeps:
            self.kept.append((request, send))
        elif request.body is None:
            send(Response(413, [], b"too long"))
        else:
            send(Response(200, [("Content-Type", "text/plain")], request.body))

    def refused(self) -> None:
        self.refusals += 1

    def release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer all requests that were kept, from another thread."""
        for request, send in self.kept:
            loop.call_soon_threadsafe(send, Response(200, [], request.body or b""))
        self.kept.clear()


class Running:
    """A running server."""

    def __init__(self) -> None:
        self.port = 0
        self.now = 1_000.0
        self.handlers_stopped = threading.Event()
        self.server: HttpServer
        self.loop: asyncio.AbstractEventLoop
        self._started, self._ended = threading.Event(), threading.Event()
        self._stopping = False
        self.goes_on: Callable[[], bool] = lambda: not self._stopping
        """Called on the event loop in each tick."""
        self._thread: threading.Thread

    def start(
        self,
        pages: Application,
        handlers: Mapping[str, Handler],
        limits: Limits,
        threads: int,
        context: ssl.SSLContext | None,
        access: Callable[[Request, int, int], None] | None,
    ) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            pool = WsgiPool(
                pages, threads, 200_000, self.loop, {"SERVER_NAME": "a", "SERVER_PORT": "1"}
            )
            self.server = HttpServer(
                handlers, pool, limits, self.handlers_stopped.set, access, lambda: self.now
            )
            listener = socket.create_server(("127.0.0.1", 0), backlog=100)
            self.port = listener.getsockname()[1]
            await self.server.listen([listener], context)
            self._started.set()
            await self.server.run(lambda: self.goes_on())
            await self.server.drain(PATIENCE)
            await self.server.close()
            self._ended.set()

        self._thread = threading.Thread(target=uvloop.run, args=(serve(),))
        self._thread.start()
        assert self._started.wait(PATIENCE)

    def pass_time(self, seconds: float) -> None:
        """Returns when the server has noticed."""
        self.now += seconds
        eventually(lambda: self.server.time >= self.now)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def ask(self, request: bytes) -> bytes:
        """Everything that the server answers until it closes the connection."""
        with self.connect() as connection:
            connection.sendall(request)
            return received(connection)

    def stop(self) -> None:
        """Begin to drain."""
        self._stopping = True

    def join(self) -> None:
        self._stopping = True
        # Time passes, so that a drain which waits for a client ends.
        while self._thread.is_alive():
            self._thread.join(0.05)
            self.now += 1
        assert self._ended.is_set()


@contextmanager
def running(
    pages: Application = hello,
    handlers: Mapping[str, Handler] | None = None,
    limits: Limits = LIMITS,
    threads: int = 2,
    context: ssl.SSLContext | None = None,
    access: Callable[[Request, int, int], None] | None = None,
) -> Iterator[Running]:
    """Serve until the end of the block."""
    server = Running()
    server.start(pages, handlers or {}, limits, threads, context, access)
    try:
        yield server
    finally:
        server.join()


def received(connection: socket.socket) -> bytes:
    """All bytes until the server closes the connection."""
    answer = b""
    while piece := connection.recv(1 << 16):
        answer += piece
    return answer


def received_until(connection: socket.socket, end: bytes) -> bytes:
    """All bytes up to and including `end`."""
    answer = b""
    while not answer.endswith(end):
        piece = connection.recv(1 << 16)
        assert piece, answer
        answer += piece
    return answer
