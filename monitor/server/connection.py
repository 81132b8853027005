"""One connection of a client: reads requests, passes them on in order, writes the responses."""

import asyncio
import fcntl
import termios
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from monitor.server.heads import head
from monitor.server.messages import (
    Handler,
    Request,
    RequestError,
    Response,
    has_body,
    log_failure,
    problem,
)
from monitor.server.parser import Parser
from monitor.server.turns import MALFORMED, Refusal, Turn

if TYPE_CHECKING:
    from monitor.server.http_server import HttpServer

_NEVER = float("inf")
_PIPELINED = 8
"""Requests that may wait on one connection; then no more is read from it."""
_IN_A_ROW = 16
"""Requests of one connection that are handled in a row: then other connections have their turn."""
_SMALL = 4096
"""Shorter bodies (bytes) don't count as buffered."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BUSY = "the server is busy"
_MAPPED = "::ffff:"
"""Start of an IPv4 address on a socket for both versions."""


class Connection(asyncio.Protocol):
    """Created by the event loop for each client."""

    def __init__(self, server: "HttpServer") -> None:
        self._server, self._limits = server, server.limits
        self._transport: asyncio.Transport | None = None
        self._parser: Parser | None = None
        self._incoming: Request | None = None
        """The request that is being read, from the end of its headers on."""
        self._handler: Handler | None = None
        self._body: list[bytes] = []
        self._size = self._reserved = 0
        self._read_from = 0.0
        self._waiting: deque[Turn] = deque()
        self._current: Turn | None = None
        self._ending = False
        """No further request is read."""
        self._closing = self._advancing = self._reading_paused = self._write_paused = False
        self._on_writable: list[Callable[[], None]] = []
        self._peer: tuple[str, int] | None = None
        self.deadline = _NEVER
        """When the connection is given up, by the server's time, unless the client goes on."""
        self.idle_since: float | None = None
        """None within a request."""

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._parser = Parser(self, self._limits)
        self.idle_since = self._server.time
        self.deadline = self.idle_since + self._limits.head_timeout
        if not self._server.admit(self):
            self._fail(problem(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY, ("Retry-After", "5")))

    def connection_lost(self, _exc: Exception | None) -> None:
        """The connection is closed."""
        if self._parser is not None:
            self._parser.close()
        self._transport = self._parser = None
        self._server.forget(self)
        reserved = self._reserved + sum([turn.reserved for turn in self._waiting])
        if reserved:
            self._server.reserve(-reserved)
        self._waiting.clear()
        self._reserved = 0
        if self._on_writable:
            self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        if self._ending or self._parser is None:
            return
        if self.idle_since is not None:
            self.idle_since = None
            self.deadline = self._server.time + self._limits.head_timeout
        try:
            self._parser.feed(data)
        except RequestError as error:
            self._refuse(error)
        self._advance()

    def eof_received(self) -> bool:
        """The client sends no more, but may wait for responses."""
        if self._parser is None or self._closing:
            return False
        if self._parser.within_request and not self._ending:
            self._refuse(RequestError(HTTPStatus.BAD_REQUEST, "the request is incomplete"))
        self._ending = True
        if self._transport is None or not self._transport.can_write_eof():
            return False  # with TLS, the event loop closes the connection in any case
        return self._current is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The client has read, or the connection is lost."""
        self._write_paused = False
        if self._on_writable:
            self.deadline = _NEVER
            waiting, self._on_writable = self._on_writable, []
            for on_writable in waiting:
                on_writable()
        self._advance()

    # Called by the parser.

    def head_received(self, request: Request, length: int | None, expects: bool) -> None:
        """See `parser.Events`."""
        self._incoming, self._size = request, 0
        self._handler = self._server.handlers.get(request.path)
        if self._handler is None or self._server.logs_access:
            request.peer = self._find_peer()
        if length == 0:
            return
        if length is not None:
            if length > self._body_limit():
                self._pass_on_without_body(request)
                return
            self._reserve(length)
        self._read_from = self._server.time
        self.deadline = self._read_from + self._limits.body_timeout
        if expects and self._current is None and not self._waiting and self._transport:
            self._transport.write(_CONTINUE)

    def body_received(self, data: bytes) -> None:
        """See `parser.Events`."""
        request = self._incoming
        if request is None or request.body is None:
            return
        self._size += len(data)
        if self._size > self._body_limit():
            self._pass_on_without_body(request)
            return
        if self._size > self._reserved:
            self._reserve(self._size - self._reserved)
        self._body.append(data)
        self.deadline = (
            self._read_from + self._limits.body_timeout + self._size / self._limits.body_rate
        )

    def request_received(self, keep_alive: bool) -> None:
        """See `parser.Events`."""
        request = self._incoming
        if request is None or self._ending:
            return
        if self._body:
            request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = []
        self._incoming = None
        self._waiting.append(Turn(request, self._handler, keep_alive, self._reserved))
        self._reserved = 0
        self._ending = not keep_alive
        if len(self._waiting) >= _PIPELINED and self._transport is not None:
            self._transport.pause_reading()
            self._reading_paused = True

    def _find_peer(self) -> tuple[str, int]:
        """Address and port of the client; ("", 0) for a UNIX socket."""
        if self._peer is None:
            address = self._transport and self._transport.get_extra_info("peername")
            if isinstance(address, tuple):
                self._peer = str(address[0]).removeprefix(_MAPPED), int(address[1])
            else:
                self._peer = "", 0
        return self._peer

    def _body_limit(self) -> int:
        return (self._handler or self._server.pages).body_limit

    def _pass_on_without_body(self, request: Request) -> None:
        """The body is too long: the application refuses the request, and the rest is not read."""
        request.body, self._body = None, []
        self._waiting.append(Turn(request, self._handler, False, self._reserved))
        self._reserved = 0
        self._ending = True

    def _reserve(self, size: int) -> None:
        if self._size + size <= _SMALL:
            return
        if not self._server.reserve(size):
            if self._handler is not None:
                self._handler.refused()
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
        self._reserved += size

    # Requests in order.

    def _advance(self) -> None:
        """Passes on the next request, unless one is being handled or the client does not read."""
        if self._advancing:
            return
        self._advancing, handled = True, 0
        while self._waiting and self._current is None and not self._write_paused:
            if handled == _IN_A_ROW:
                self._server.loop.call_soon(self._advance)
                break
            handled += 1
            turn = self._current = self._waiting.popleft()
            self.deadline = _NEVER
            try:
                if turn.handler is None:
                    self._server.pages.handle(turn.request, self)
                else:
                    turn.handler.handle(turn.request, self.send)
            except Exception as error:  # noqa: BLE001 any error, so that the client gets a response
                log_failure(error)
                self.send(problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed"))
        self._advancing = False
        if self._reading_paused and not self._waiting and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

    def send(self, response: Response) -> None:
        """Sends the response to the current request."""
        turn = self._current
        if turn is None:
            return
        status, headers, body = response
        if self._transport is not None:
            with_body = has_body(status)
            length = (b"Content-Length: %d\r\n" % len(body),) if with_body else ()
            start = head(status, headers, *length, self._connection_header(turn))
            sent = with_body and turn.request.method != "HEAD"
            self._transport.write(start + body if sent else start)
        self.finished(status, len(body))

    def start(self, status: int, headers: Iterable[tuple[str, str]], close: bool) -> None:
        """Sends the head of a response; `write` sends the body. `close`: the end of the connection
        is the end of the body."""
        if self._current is not None and self._transport is not None:
            if close:
                self._current = self._current._replace(keep_alive=False)
            last = self._connection_header(self._current)
            self._transport.write(head(status, headers, last))

    def write(self, data: bytes, on_writable: Callable[[], None]) -> None:
        """Sends a part of a body. `on_writable` is called when more may be sent, or when the client
        is gone."""
        if self._transport is not None:
            self._transport.write(data)
        if self._write_paused and self._transport is not None:
            self._on_writable.append(on_writable)
            self.deadline = self._server.time + self._limits.send_timeout
        else:
            on_writable()

    def _connection_header(self, turn: Turn) -> bytes:
        """Decides whether the connection stays open after this response."""
        if not turn.keep_alive or (self._server.draining and not self._waiting):
            self._current = turn._replace(keep_alive=False)
            self._ending = True
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if turn.request.version == "1.0" else b""

    def finished(self, status: int, size: int) -> None:
        """The response is complete. `size` of its body in bytes, for the access log."""
        turn = self._current
        if turn is None:
            return
        self._current = None
        if turn.reserved:
            self._server.reserve(-turn.reserved)
        self._server.log(turn.request, status, size)
        if self._transport is None:
            return
        if not turn.keep_alive or (self._ending and not self._waiting):
            self._close()
        elif self._waiting:
            self.deadline = self._server.time + self._limits.send_timeout
            self._advance()
        elif self._parser is not None and self._parser.within_request:
            self.deadline = self._server.time + self._limits.head_timeout
        else:
            self.idle_since = self._server.time
            self.deadline = self.idle_since + self._limits.idle_timeout
            if self._reading_paused:
                self._advance()

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection. May be read from any thread."""
        return self._transport is None

    def abort(self) -> None:
        """Closes the connection within a response, so that the client sees it is incomplete."""
        if self._transport is not None:
            self._transport.abort()

    # Errors and the end.

    def _refuse(self, error: RequestError) -> None:
        """Answers a malformed request after those before it, and closes the connection."""
        self._server.log_refusal(self._find_peer(), error)
        self._ending = True
        if self._current is not None or self._waiting:
            self._waiting.append(Turn(MALFORMED, Refusal(error), False, 0))
        else:
            self._fail(error.response())

    def _fail(self, response: Response) -> None:
        """Sends a response without a request, and closes the connection."""
        if self._transport is None:
            return
        status, headers, body = response
        length = b"Content-Length: %d\r\n" % len(body)
        self._transport.write(head(status, headers, length, b"Connection: close\r\n") + body)
        self._ending = True
        self._close()

    def _close(self) -> None:
        """Closes the connection when the client has got the response."""
        transport = self._transport
        if transport is None or self._closing:
            return
        self._closing = True
        within = self._parser is not None and self._parser.within_request
        if (within or self._has_unread()) and transport.can_write_eof():
            # Closed with unread data, the connection would be reset and the response lost.
            transport.write_eof()
            if self._reading_paused:
                transport.resume_reading()
            self.deadline = self._server.time + self._limits.linger
        else:
            transport.close()
            self.deadline = self._server.time + self._limits.send_timeout

    def close_if_idle(self) -> bool:
        """Closes the connection unless it is within a request. Returns whether it did."""
        if self.idle_since is None or self._has_unread():
            return False
        self._close()
        return True

    def _has_unread(self) -> bool:
        """Whether something has arrived that the loop has not read yet."""
        if self._transport is None:
            return False
        file = self._transport.get_extra_info("socket").fileno()
        return any(fcntl.ioctl(file, termios.FIONREAD, bytes(4)))

    def end(self) -> None:
        """Closes the connection when it was idle for `Limits.drain`, but lets requests in
        progress finish."""
        if (
            self.idle_since is not None
            and self.idle_since + self._limits.drain <= self._server.time
        ):
            self.close_if_idle()
        if self._current is not None and self._current.handler is None and not self._waiting:
            self._ending = True

    @property
    def only_sends_a_page(self) -> bool:
        """Whether no further request can come, and the last one is for the pages."""
        if self._closing:
            return True
        return (
            self._ending
            and not self._waiting
            and (self._current is None or self._current.handler is None)
        )

    def expired(self) -> None:
        """The deadline has passed."""
        parser = self._parser
        if self._closing or self._current is not None:
            self.abort()
        elif parser is not None and parser.within_request and not self._ending:
            part = "headers" if parser.within_head else "body"
            self._refuse(
                RequestError(HTTPStatus.REQUEST_TIMEOUT, f"the {part} did not arrive in time")
            )
        elif self.idle_since is not None:
            self.close_if_idle()
        else:
            self._close()
