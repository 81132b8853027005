"""gunicorn and what it serves: each worker builds its application after the fork."""

import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from gunicorn.app.base import BaseApplication

from monitor.model import SECOND

_HALF_SENT = 30 * SECOND
"""A connection that sends nothing for this long in the middle of a request is dropped: gthread's
own time-out watches the worker, not the request."""

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Any]


class WebProcess(NamedTuple):
    """What one worker runs: its application, and how it ends."""

    application: WsgiApplication
    close: Callable[[], None]


class GunicornServer(BaseApplication):  # type: ignore[misc]
    """gunicorn without a configuration file."""

    def __init__(self, build: Callable[[], WebProcess], bind: str, workers: int, threads: int) -> None:
        self._build = build
        self._process: WebProcess | None = None
        self._options = {
            "bind": bind,
            "workers": workers,
            "threads": threads,
            "worker_class": "gthread",
            # Else the connections of one client often all land on one worker.
            "reuse_port": True,
            "control_socket_disable": True,
            "graceful_timeout": 20,
            "keepalive": 75,
            "max_requests": 0,
            "timeout": 60,
            "when_ready": _bound_receiving,
            "worker_exit": self._leave,
            "logger_class": "gunicorn.glogging.Logger",
            "loglevel": "warning",
        }
        super().__init__()

    def load_config(self) -> None:
        """gunicorn asks for its settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApplication:
        """gunicorn asks for the application, in each worker, after the fork."""
        self._process = self._build()
        return self._process.application

    def _leave(self, _arbiter: object, _worker: object) -> None:
        if self._process is not None:
            self._process.close()


def _bound_receiving(arbiter: Any) -> None:
    seconds = struct.pack("ll", _HALF_SENT // SECOND, 0)
    for listener in arbiter.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
    logging.getLogger(__name__).info("listening on %s", ", ".join(map(str, arbiter.LISTENERS)))
