"""A local HTTP server that answers heartbeats as the service does."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from monitor.model import format_time


class Received(NamedTuple):
    moment: float
    """Seconds of the monotonic clock."""
    path: str
    token: str | None
    connection: tuple[str, int]
    body: dict[str, Any]


class Receiver(ThreadingHTTPServer):
    """Records what it received, and what it stored as (time, mac_address)."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.received: list[Received] = []
        self.stored: list[tuple[str, str]] = []
        self.status = 200
        self.reply: dict[str, Any] | None = None
        """The answer's status, instead of the usual one."""
        self.close_after_reply = False
        self.drop = False
        """Close the connection instead of replying."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet a reply
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = self.headers["Authorization"]
        self.server.received.append(
            Received(time.monotonic(), self.path, token, self.client_address, body)
        )
        if self.server.drop:
            self.close_connection = True
            return
        stored = format_time(time.time_ns() // 1_000_000)
        if self.server.status == 200:
            self.server.stored.append((stored, body["mac_address"]))
        usual = {"mac_address": body["mac_address"], "time": stored, "threshold_seconds": 600}
        reply = json.dumps(self.server.reply or usual).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(reply)))
        if self.server.close_after_reply:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
