"""An HTTP proxy in front of InfluxDB that forwards requests, or answers in its place."""

import http.client
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self
from urllib.parse import urlsplit

PAGE = "<!DOCTYPE html><title>Wartung</title><p>Wir sind gleich zurück."
HTML = {"Content-Type": "text/html"}


class Answer(NamedTuple):
    """The answer to the client."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def _cut(answer: Answer) -> Answer:
    return answer._replace(body=answer.body[: len(answer.body) // 2])


def _unsigned(answer: Answer) -> Answer:
    kept = {k: v for k, v in answer.headers.items() if not k.lower().startswith("x-influxdb")}
    return answer._replace(headers=kept)


TRICKS: dict[str, Callable[[Answer], Answer]] = {
    "a page with 200": lambda _: Answer(200, HTML, PAGE.encode()),
    "a page with 400": lambda _: Answer(400, HTML, PAGE.encode()),
    "a page with 413": lambda _: Answer(413, HTML, b"<p>too large"),
    "a page in Latin-1": lambda _: Answer(200, HTML, PAGE.encode("latin-1")),
    "a redirect": lambda _: Answer(302, {"Location": "/login"}),
    "204 of something else": lambda _: Answer(204, {}),
    "JSON of something else": lambda _: Answer(200, {"Content-Type": "application/json"}, b"{}"),
    "200 in place of 204": lambda answer: answer._replace(status=200, body=b"{}"),
    "half an answer": _cut,
    "an answer without its origin": _unsigned,
}
"""Tricks that change InfluxDB's answer."""

UNASKED = tuple(name for name in TRICKS if name.startswith(("a page", "a redirect")))
"""Tricks that answer without InfluxDB."""


class InterceptingProxy:
    """A server on a loopback port. `trick` is one of TRICKS; None forwards everything."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url).netloc
        self.trick: str | None = None
        self.tricked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                outer._handle(self, self.rfile.read(length))

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815 as the base class wants

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handle(self, asked: BaseHTTPRequestHandler, body: bytes) -> None:
        trick = self.trick
        answer = Answer(0, {}) if trick in UNASKED else self._pass_on(asked, body)
        if trick is not None:
            answer = TRICKS[trick](answer)
            self.tricked += 1
        asked.send_response(answer.status)
        for name, value in answer.headers.items():
            asked.send_header(name, value)
        if answer.status != 204:
            asked.send_header("Content-Length", str(len(answer.body)))
        asked.end_headers()
        if answer.status != 204:
            asked.wfile.write(answer.body)

    def _pass_on(self, asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self._to, timeout=30)
        try:
            own = ("host", "content-length", "connection", "accept-encoding")
            headers = {k: v for k, v in asked.headers.items() if k.lower() not in own}
            connection.request(asked.command, asked.path, body, headers)
            answer = connection.getresponse()
            dropped = ("content-length", "transfer-encoding", "connection", "date")
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in dropped}
            return Answer(answer.status, kept, answer.read())
        finally:
            connection.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
