"""Runs a WSGI application (PEP 3333) on a pool of threads."""

import io
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from monitor.server.connection import Connection
from monitor.server.messages import Request, has_body, log_failure, problem

_IN_FLIGHT = 256 * 1024
"""Bytes of one response between its thread and the client; then the thread waits."""

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "date")

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


class ClientGone(OSError):
    """The client closed the connection before it had the whole response."""


class WsgiPool:
    """Created in each worker, after the fork."""

    def __init__(
        self,
        application: Application,
        threads: int,
        body_limit: int,
        loop: AbstractEventLoop,
        base: Environ,
    ) -> None:
        """`body_limit` in bytes: a longer body is not read, and the application must refuse its
        Content-Length. `base`: the part of the environ that is the same for all requests."""
        self.body_limit = body_limit
        self._application, self._loop = application, loop
        self._threads = ThreadPoolExecutor(threads, "pages")
        self._base: Environ = {
            "SCRIPT_NAME": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            **base,
        }

    def handle(self, request: Request, connection: Connection) -> None:
        """Answers the request on a thread."""
        if request.body is None and "content-length" not in request.headers:
            detail = f"at most {self.body_limit} bytes are allowed in one request"
            connection.send(problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail))
            return
        self._threads.submit(self._answer, request, connection)

    def close(self) -> None:
        """Drops requests that wait for a thread, and waits for the others."""
        self._threads.shutdown(cancel_futures=True)

    def _answer(self, request: Request, connection: Connection) -> None:
        response = _StreamedResponse(request, connection, self._loop)
        try:
            result = self._application(self._environ(request), response.start)
            try:
                response.send(result)
            finally:
                if hasattr(result, "close"):
                    result.close()
        except ClientGone:
            response.fail()
        except Exception as error:  # noqa: BLE001 any error, so that the client gets a response
            log_failure(error)
            response.fail()

    def _environ(self, request: Request) -> Environ:
        environ = {
            **self._base,
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query,
            "RAW_URI": request.target,
            "REQUEST_URI": request.target,
            "SERVER_PROTOCOL": f"HTTP/{request.version}",
            "REMOTE_ADDR": request.peer[0],
            "REMOTE_PORT": str(request.peer[1]),
            "wsgi.input": io.BytesIO(request.body or b""),
        }
        for name, value in request.headers.items():
            # With an underscore, a name could pass for another one.
            if "_" not in name:
                environ["HTTP_" + name.upper().replace("-", "_")] = value
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            value = environ.pop("HTTP_" + name, None)
            if value is not None:
                environ[name] = value
        if request.body and "CONTENT_LENGTH" not in environ:
            environ["CONTENT_LENGTH"] = str(len(request.body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return environ


class _StreamedResponse:
    """One response, sent by its thread through the event loop."""

    def __init__(self, request: Request, connection: Connection, loop: AbstractEventLoop) -> None:
        self._request, self._connection, self._loop = request, connection, loop
        self._status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self._headers: list[tuple[str, str]] = []
        self._started = self._chunked = False
        self._size = self._in_flight = 0
        self._writable = threading.Condition()

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's start_response."""
        if exc_info and self._started:
            raise exc_info[1].with_traceback(exc_info[2])
        for name, value in headers:
            if any(each in name or each in value for each in "\r\n\0"):
                raise ValueError(f"the header {name!r} is not valid")
        self._status = int(status.partition(" ")[0])
        self._headers = [each for each in headers if each[0].lower() not in _HOP_BY_HOP]
        return self._write

    def send(self, result: Iterable[bytes]) -> None:
        """Sends the head and the body. Raises ClientGone."""
        if isinstance(result, list) and len(result) == 1 and not self._started:
            self._begin(len(result[0]))
        for data in result:
            self._write(data)
        if not self._started:
            self._begin(0)
        if self._chunked:
            self._pass_on(b"0\r\n\r\n")
        self._loop.call_soon_threadsafe(self._connection.finished, self._status, self._size)

    def fail(self) -> None:
        """The application failed, or the client is gone."""
        if self._started:
            self._loop.call_soon_threadsafe(self._connection.abort)
            self._loop.call_soon_threadsafe(self._connection.finished, self._status, self._size)
        else:
            response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed")
            self._loop.call_soon_threadsafe(self._connection.send, response)

    def _begin(self, length: int | None) -> None:
        """Sends the head. `length` of the body in bytes, None if it is unknown."""
        self._started = True
        headers, close = self._headers, False
        known = any(name.lower() == "content-length" for name, _ in headers)
        if not known and has_body(self._status):
            if length is not None:
                headers = [*headers, ("Content-Length", str(length))]
            elif self._request.version == "1.0":
                close = True
            else:
                headers = [*headers, ("Transfer-Encoding", "chunked")]
                self._chunked = self._request.method != "HEAD"
        self._loop.call_soon_threadsafe(self._connection.start, self._status, headers, close)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if not self._started:
            self._begin(None)
        if self._request.method == "HEAD" or not has_body(self._status):
            return
        self._size += len(data)
        self._pass_on(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _pass_on(self, data: bytes) -> None:
        """Gives bytes to the loop; waits while the client reads too slowly."""
        size = len(data)
        with self._writable:
            self._writable.wait_for(lambda: self._in_flight < _IN_FLIGHT)
            self._in_flight += size
        if self._connection.gone:
            raise ClientGone
        self._loop.call_soon_threadsafe(self._connection.write, data, lambda: self._taken(size))

    def _taken(self, size: int) -> None:
        with self._writable:
            self._in_flight -= size
            self._writable.notify()
