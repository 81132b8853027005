"""A client for a handler of the server, without a network: werkzeug's, over a real event loop."""

import asyncio
import threading
from collections.abc import Iterable
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any

from werkzeug.test import Client

from monitor.server.messages import Handler, Request, Response


class LoopThread:
    """An event loop that runs on a thread until `close`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def client(handler: Handler, loop: asyncio.AbstractEventLoop) -> Client:
    """Passes requests to the handler on its loop, as the server does."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answers: SimpleQueue[Response] = SimpleQueue()
        request = request_of(environ)
        if len(request.body or b"") > handler.body_limit:
            request.body = None
        loop.call_soon_threadsafe(handler.handle, request, answers.put)
        status, headers, body = answers.get(timeout=30)
        start_response(
            f"{status} {HTTPStatus(status).phrase}",
            [*headers, ("Content-Length", str(len(body)))],
        )
        return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)

    return Client(application)


def request_of(environ: dict[str, Any]) -> Request:
    """The request of a WSGI environ."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name == "CONTENT_TYPE" and value)
    }
    request = Request(
        environ["REQUEST_METHOD"],
        environ["PATH_INFO"],
        environ["PATH_INFO"],
        environ["QUERY_STRING"],
        "1.1",
        headers,
    )
    request.body = environ["wsgi.input"].read()
    return request
