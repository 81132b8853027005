"""How many requests may wait for the store or the state at once.

A page may wait for seconds. Without a limit, a few of them would hold every thread of a worker, and
short requests, such as `/healthz` and static files, would wait for them. Heartbeats need no thread.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import Any

from werkzeug.wsgi import ClosingIterator

from monitor.server.messages import PROBLEM, problem
from monitor.web.errors import RETRY_AFTER

KEPT_FREE = 3
"""Threads of each worker that pages can't take."""

_WAITING = 1
"""Requests that may wait for others to end: each holds one of the threads kept free."""
_PATIENCE = 1.0
"""Seconds that they wait: a browser sends several requests at once, most of them short."""

_STATIC, _ALIVE = "/static/", "/healthz"
"""Paths that use neither the store nor the state, not even for errors."""

_BUSY = "The server is busy. Try again soon."

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Turnstile:
    """A WSGI middleware. Create it in each worker, after the fork."""

    def __init__(self, pages: Application, slots: int) -> None:
        """`slots`: how many requests `pages` may handle at once, until their responses are sent."""
        self._pages = pages
        self._slots, self._queue = BoundedSemaphore(slots), BoundedSemaphore(_WAITING)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """PEP 3333."""
        path = environ["PATH_INFO"]
        if path == _ALIVE or path.startswith(_STATIC):
            return self._pages(environ, start_response)
        if not self._enter():
            return _refuse(environ, start_response)
        try:
            answer = self._pages(environ, start_response)
        except BaseException:
            self._slots.release()
            raise
        return ClosingIterator(answer, self._slots.release)

    def _enter(self) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        if not self._queue.acquire(blocking=False):
            return False
        try:
            return self._slots.acquire(timeout=_PATIENCE)
        finally:
            self._queue.release()


def _refuse(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Without a template, because pages read the current user from the state."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = [("Retry-After", str(RETRY_AFTER)), ("Cache-Control", "no-store")]
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        body, kind = _BUSY.encode(), "text/plain; charset=utf-8"
        headers.append(("Refresh", str(RETRY_AFTER)))
    else:
        body, kind = problem(status, _BUSY).body, PROBLEM
    headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)
