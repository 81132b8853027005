"""The server of one worker: its connections, their time-outs and its end."""

import asyncio
import itertools
import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.server.connection import Connection
from monitor.server.limits import Limits
from monitor.server.listener import refuse_silently
from monitor.server.messages import Handler, Request, RequestError
from monitor.server.wsgi import WsgiPool

_TICK = 0.25
"""Seconds between two looks at the deadlines."""
_DRAIN_TICK = 0.05
"""As `_TICK`, while the server stops."""
_DROPPED = 100
"""When there are too many connections, one of so many is closed, if it is idle."""

log = logging.getLogger(__name__)


class HttpServer:
    """Created in each worker, after the fork, with its event loop."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        pages: WsgiPool,
        limits: Limits,
        stop_handlers: Callable[[], None] = lambda: None,
        access: Callable[[Request, int, int], None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`handlers`: by path; `pages` get all other paths. `stop_handlers`: called when the server
        stops and handlers can get no more requests. `access`: called for each response with its
        request, status and size (bytes of the body). `clock`: seconds; by default the loop's."""
        self.loop = asyncio.get_running_loop()
        self.handlers, self.pages, self.limits = handlers, pages, limits
        self.draining = False
        self._clock = clock or self.loop.time
        self.time = self._clock()
        """Read once in each tick: exact enough for time-outs."""
        self._stop_handlers, self._access = stop_handlers, access
        self.logs_access = access is not None
        self._connections: set[Connection] = set()
        self._buffered = 0
        self._servers: list[tuple[asyncio.Server, socket.socket]] = []
        self._context: ssl.SSLContext | None = None
        self._accepting: set[asyncio.Task[None]] = set()
        self._shared = True
        self._handlers_stopped = False

    async def listen(
        self,
        sockets: Sequence[socket.socket],
        context: ssl.SSLContext | None,
        shared: bool = True,
    ) -> None:
        """Accepts connections on these listening sockets, with TLS if there is a context.
        `shared`: whether other processes may listen on these sockets, too."""
        self._context, self._shared = context, shared
        for listener in sockets:
            listener.setblocking(False)
            # With a second descriptor, accept works after the loop has closed its own.
            own = listener.dup()
            unix = listener.family == socket.AF_UNIX
            create = self.loop.create_unix_server if unix else self.loop.create_server
            server = await create(
                lambda: Connection(self), sock=listener, backlog=2048, **self._tls()
            )
            self._servers.append((server, own))
            listener.close()  # as far as it is this one's: the loop keeps it open

    def _tls(self, handshake: float | None = None) -> dict[str, Any]:
        """Arguments of the event loop. `handshake`: seconds; None: as for headers."""
        if self._context is None:
            return {}
        return {
            "ssl": self._context,
            # Until the handshake is complete, there is no `Connection` with a deadline.
            "ssl_handshake_timeout": handshake or self.limits.head_timeout,
            # Includes the time to send what is left, for which the connection has a deadline.
            "ssl_shutdown_timeout": 2 * self.limits.send_timeout,
        }

    def tick(self) -> None:
        """Closes connections whose deadline has passed."""
        now = self.time = self._clock()
        for connection in [each for each in self._connections if each.deadline < now]:
            connection.expired()

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Serves until `goes_on`, called in each tick, returns False."""
        while goes_on():
            await asyncio.sleep(_TICK)
            self.tick()

    async def drain(self, timeout: float, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Accepts no more connections, and waits for the requests of those that are open, for
        `timeout` seconds at most, or until `goes_on` returns False."""
        self.draining = True
        started = self._clock()
        await self._stop_listening()
        # A connection with TLS is unknown until its handshake is complete.
        until = started + self.limits.drain if self._context is not None else started
        while (
            (self._connections or self._accepting or self.time < until)
            and self.time < started + timeout
            and goes_on()
        ):
            self.tick()
            if self.time >= started + self.limits.drain:
                for connection in list(self._connections):
                    connection.end()
            handshaking = self._accepting or self.time < until
            if not handshaking and all(each.only_sends_a_page for each in self._connections):
                self._stop_handlers_once()
            await asyncio.sleep(_DRAIN_TICK)

    async def close(self) -> None:
        """Aborts what is left. Returns when nothing runs on threads any more."""
        for task in list(self._accepting):
            task.cancel()
        for server, own in self._servers:
            server.close()
            own.close()
        for connection in list(self._connections):
            connection.abort()
        self._stop_handlers_once()
        # The loop goes on meanwhile: a thread may be waiting until a part of its page is sent.
        await self.loop.run_in_executor(None, self.pages.close)

    def _stop_handlers_once(self) -> None:
        if not self._handlers_stopped:
            self._handlers_stopped = True
            self._stop_handlers()

    async def _stop_listening(self) -> None:
        if not self._shared:
            for _, own in self._servers:
                refuse_silently(own)
            await asyncio.sleep(self.limits.handshake)
        for server, own in self._servers:
            server.close()
            await asyncio.sleep(0)
            # Clients that have connected, but were not accepted yet, would be reset.
            while True:
                try:
                    waiting, _ = own.accept()
                except OSError:
                    break
                # A task, because a handshake can take long.
                task = asyncio.create_task(self._accept(waiting))
                self._accepting.add(task)
                task.add_done_callback(self._accepting.discard)
            own.close()
        self._servers.clear()

    async def _accept(self, waiting: socket.socket) -> None:
        waiting.setblocking(False)
        try:
            await self.loop.connect_accepted_socket(
                lambda: Connection(self), waiting, **self._tls(self.limits.linger)
            )
        except OSError:  # the client is gone, or the handshake has failed
            waiting.close()

    # Called by connections.

    def admit(self, connection: Connection) -> bool:
        """Adds a connection, or returns False if there are too many and none is idle."""
        if len(self._connections) >= self.limits.connections and not self._make_room():
            for handler in self.handlers.values():
                handler.refused()
            return False
        self._connections.add(connection)
        return True

    def _make_room(self) -> bool:
        """Closes those connections that are idle for longest. Returns whether there were any."""
        idle = [each for each in self._connections if each.idle_since is not None]
        idle.sort(key=lambda each: each.idle_since or 0)
        closing = (each for each in idle if each.close_if_idle())
        closed = set(itertools.islice(closing, self.limits.connections // _DROPPED + 1))
        self._connections -= closed
        return bool(closed)

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)

    def reserve(self, size: int) -> bool:
        """Counts bytes of bodies in memory; negative: they are free again. Returns whether that
        many are allowed."""
        if size > 0 and self._buffered + size > self.limits.buffered:
            return False
        self._buffered += size
        return True

    def log(self, request: Request, status: int, size: int) -> None:
        """Writes a line of the access log. Malformed requests are in the other log."""
        if self._access is not None and request.method:
            self._access(request, status, size)

    def log_refusal(self, peer: tuple[str, int], error: RequestError) -> None:
        """The log has only the kind of error, because the request may contain a token."""
        log.warning("request from %s refused: %s", peer[0], error.detail)
