"""gunicorn and what it serves: each worker builds its application after the fork."""

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
"""A connection that sends nothing for this long in the middle of a request is dropped: gthread's
own time-out watches the worker, not the request."""

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of glibc's malloc.h

_GATHERED = 64 * 1024
"""Bytes of a response that are held back at most."""

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Any]


class WebProcess(NamedTuple):
    """What one worker runs: its application, and how it ends."""

    application: WsgiApplication
    close: Callable[[], None]


class _Gathering:
    """A connection that sends the head of a response and a short body together: gunicorn by itself
    makes two packets of them, which a heartbeat's whole work takes no longer than."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = b""

    def sendall(self, data: bytes) -> None:
        """Held back until `flush`, or until there is much of it."""
        self._held += data
        if len(self._held) > _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        held, self._held = self._held, b""
        if held:
            self._connection.sendall(held)

    def __getattr__(self, name: str) -> Any:
        self.flush()  # whatever is meant comes after what was sent
        return getattr(self._connection, name)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gthread, with each response sent at once."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        """One request on a connection; whether the connection can be kept."""
        connection = conn.sock
        conn.sock = gathering = _Gathering(connection)
        try:
            kept = super().handle_request(req, conn)
            gathering.flush()
            return kept
        finally:
            conn.sock = connection

    def handle_error(self, _req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what can't be a request, and name the fault alone: what was sent may hold a token
        or a link that lets its bearer in, and so belongs neither in the log nor in the answer."""
        status = _status(exc)
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.warning("%s refused from %s", type(exc).__name__, addr[0] if addr else "")
        else:
            calls = "".join(traceback.format_tb(exc.__traceback__))
            head = "Traceback (most recent call last):"
            self.log.error("a request failed: %s\n%s\n%s", type(exc).__name__, head, calls)
        with suppress(OSError):
            write_error(client, status.value, status.phrase, "")


class _ChunkedBody:
    """A body in chunks, of which a malformed one ends the request and not the server's patience:
    gunicorn's own error is none that an application expects of a stream."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int | None = None) -> bytes:
        """As of a file. Raises OSError."""
        try:
            content: bytes = self._body.read(size)
        except errors.ParseException as error:
            raise OSError("a chunk is malformed") from error
        return content


class _Reading:
    """A WSGI application that finds an OSError where a chunk is malformed."""

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
            # Else the connections of one client often all land on one worker.
            "reuse_port": True,
            "control_socket_disable": True,
            "graceful_timeout": 20,
            "keepalive": 75,
            "timeout": 60,
            "post_fork": _end_with_master,
            "post_worker_init": _bound_receiving,
            "worker_exit": self._leave,
            "loglevel": "warning",
            # Else SCRIPT_NAME, PATH_INFO and the scheme are believed from loopback, or from where
            # a variable of gunicorn's own points. What proxies add is read as `proxies` says.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
        }
        super().__init__()

    @staticmethod
    def check_free(host: str, port: int) -> None:
        """Raises OSError when somebody listens there: with reuse_port both would be served."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))

    def load_config(self) -> None:
        """gunicorn asks for its settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApplication:
        """gunicorn asks for the application, in each worker, after the fork."""
        _give_memory_back()
        self._process = self._build()
        return _Reading(self._process.application)

    def _leave(self, _arbiter: object, _worker: object) -> None:
        if self._process is not None:
            self._process.close()


def _end_with_master(arbiter: Any, _worker: object) -> None:
    # At once: an orphan would hold the port, and keep its connections, from a new master's workers.
    # What it has acknowledged is safe in its segment.
    end_with_parent(arbiter.pid, signal.SIGKILL)


def _bound_receiving(worker: Any) -> None:
    # Connections inherit it; with reuse_port each worker has listeners of its own.
    seconds = struct.pack("ll", HALF_SENT // SECOND, 0)
    for listener in worker.sockets:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)


def _give_memory_back() -> None:
    # By itself glibc keeps what large bodies took, in an arena of each thread: hundreds of MB.
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(_M_ARENA_MAX, 2)
        allocator.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
