"""The gunicorn server. Each worker builds its application after the fork."""

import ctypes
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from gunicorn.app.base import BaseApplication
from gunicorn.http import errors
from gunicorn.util import write_error
from gunicorn.workers.gthread import ThreadWorker

from monitor.model import SECOND
from monitor.supervisor import end_with_parent

HALF_SENT = 10 * SECOND
"""A connection that sends nothing for this long (ms) within a request is closed: gthread's own
timeout is about the worker, not the request."""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # from glibc's malloc.h

_BUFFER_LIMIT = 64 * 1024
"""The maximum number of bytes of a response that are buffered."""

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Any]


class WebProcess(NamedTuple):
    """A worker's application, and the function that stops it."""

    application: WsgiApplication
    close: Callable[[], None]


class _BufferedConnection:
    """A connection that sends the head of a response and a short body in one packet. gunicorn sends
    two, and the second one takes as long as all other work for a heartbeat."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def sendall(self, data: bytes) -> None:
        """Buffers the data until `flush`, or until the buffer is full."""
        self._buffer += data
        if len(self._buffer) > _BUFFER_LIMIT:
            self.flush()

    def flush(self) -> None:
        """Sends the buffered data."""
        data, self._buffer = self._buffer, b""
        if data:
            self._connection.sendall(data)

    def __getattr__(self, name: str) -> Any:
        self.flush()  # send buffered data before any other operation
        return getattr(self._connection, name)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gthread that sends each short response in one packet."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handles one request. Returns whether the connection can be kept open."""
        connection = conn.sock
        conn.sock = buffered = _BufferedConnection(connection)
        try:
            keep = super().handle_request(req, conn)
            buffered.flush()
            return keep
        finally:
            conn.sock = connection

    def handle_error(self, _req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answers an invalid request. The log and the response contain only the kind of error,
        because the request may contain a token or a login link."""
        status = _status(exc)
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.warning(
                "request from %s refused: %s", addr[0] if addr else "", type(exc).__name__
            )
        else:
            calls = "".join(traceback.format_tb(exc.__traceback__))
            head = "Traceback (most recent call last):"
            self.log.error("a request failed: %s\n%s\n%s", type(exc).__name__, head, calls)
        with suppress(OSError):
            write_error(client, status.value, status.phrase, "")


class _ChunkedBody:
    """A chunked body that raises OSError for a malformed chunk. Applications don't expect
    gunicorn's own exception from a stream."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int | None = None) -> bytes:
        """As the method of a file. Raises OSError."""
        try:
            content: bytes = self._body.read(size)
        except errors.ParseException as error:
            raise OSError("a chunk is malformed") from error
        return content


class _WithChunkedBodies:
    """Wraps a WSGI application, so that malformed chunks raise OSError."""

    def __init__(self, application: WsgiApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """PEP 3333."""
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = _ChunkedBody(environ["wsgi.input"])
        return self._application(environ, start_response)


def _status(error: Exception) -> HTTPStatus:
    ours = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
    if not isinstance(error, errors.ParseException) or isinstance(error, ours):
        return HTTPStatus.INTERNAL_SERVER_ERROR
    special = {
        errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
        errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    }
    return special.get(type(error), HTTPStatus.BAD_REQUEST)


class GunicornServer(BaseApplication):  # type: ignore[misc]
    """gunicorn without a configuration file."""

    def __init__(
        self, build: Callable[[], WebProcess], bind: str, workers: int, threads: int
    ) -> None:
        self._build = build
        self._process: WebProcess | None = None
        self._options = {
            "bind": bind,
            "workers": workers,
            "threads": threads,
            "worker_class": Worker,
            # Without this, often one worker gets all connections of a client.
            "reuse_port": True,
            "control_socket_disable": True,
            "graceful_timeout": 20,
            "keepalive": 75,
            "timeout": 60,
            "post_fork": _end_with_master,
            "post_worker_init": _set_receive_timeout,
            "worker_exit": self._leave,
            "loglevel": "warning",
            # Without this, gunicorn trusts SCRIPT_NAME, PATH_INFO and the scheme from loopback or
            # from the addresses in its own environment variable. The setting server.proxies
            # decides which headers of proxies are trusted.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
        }
        super().__init__()

    @staticmethod
    def check_free(host: str, port: int) -> None:
        """Raises OSError if the address is in use: with reuse_port, both servers would run."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))

    def load_config(self) -> None:
        """Called by gunicorn to set its options."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApplication:
        """Called by gunicorn for the application, in each worker after the fork."""
        _limit_memory()
        self._process = self._build()
        return _WithChunkedBodies(self._process.application)

    def _leave(self, _arbiter: object, _worker: object) -> None:
        if self._process is not None:
            self._process.close()


def _end_with_master(arbiter: Any, _worker: object) -> None:
    # SIGKILL: an orphaned worker would keep the port and take connections from a new master's
    # workers. The heartbeats that it acknowledged are safe in the WAL.
    end_with_parent(arbiter.pid, signal.SIGKILL)


def _set_receive_timeout(worker: Any) -> None:
    # Connections inherit the option. With reuse_port each worker has its own listeners.
    seconds = struct.pack("ll", HALF_SENT // SECOND, 0)
    for listener in worker.sockets:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)


def _limit_memory() -> None:
    # By default, glibc keeps the memory of large bodies in each thread's arena: hundreds of MB.
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(_M_ARENA_MAX, 2)
        allocator.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
