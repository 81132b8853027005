"""gunicorn, which starts the workers, replaces those that exit, and passes signals on."""

import ctypes
import errno
import gc
import logging
import os
import resource
import signal
import socket
import ssl
import time
from asyncio import get_running_loop
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.systemd import SD_LISTEN_FDS_START, listen_fds

from monitor.child import Child, end_with_parent
from monitor.server.access_log import log_access
from monitor.server.http_server import HttpServer
from monitor.server.limits import Limits
from monitor.server.messages import Handler
from monitor.server.tls import CertificateError, server_context
from monitor.server.worker import STOPPING, LoopWorker
from monitor.server.wsgi import Application, WsgiPool

_RESERVED_FILES = 200
"""Descriptors of a worker that are not for connections."""
_COMPANION_TIMEOUT = 12
"""Seconds that the companion has to finish its work."""
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # from glibc's malloc.h


log = logging.getLogger(__name__)


class Applications(NamedTuple):
    """What a worker runs."""

    handlers: Mapping[str, Handler]
    """By path. They run on the event loop."""
    pages: Application
    """A WSGI application for all other paths."""
    pages_body_limit: int
    """Bytes. See `WsgiPool`."""
    stop_handlers: Callable[[], None]
    """Called when the handlers can get no more requests, while pages may still be sent."""
    close: Callable[[], None]


class ServerConfig(NamedTuple):
    """How the server listens."""

    host: str
    """Host name or address, or "unix:" and a path."""
    port: int
    bind: str
    """Both as one text, as gunicorn reads it."""
    workers: int
    threads: int
    """Of each worker, for pages."""
    connections: int
    """The limit of open connections of a worker."""
    access_log: bool
    certificate: Path | None
    """PEM, with the chain. None: no TLS."""
    key: Path | None
    """PEM; None if the certificate's file has the key."""

    @property
    def socket_path(self) -> Path | None:
        """The path of the UNIX socket; None for TCP."""
        kind, _, path = self.host.partition("unix:")
        return Path(path) if path and not kind else None


class GunicornServer(BaseApplication):  # type: ignore[misc]
    """gunicorn without a configuration file."""

    def __init__(
        self,
        config: ServerConfig,
        build: Callable[[], Applications],
        companion: Child | None = None,
    ) -> None:
        """`build` is called in each worker, on its event loop. `companion`: a process that runs
        beside the workers, and ends after them."""
        self.companion = companion
        self._config, self._build = config, build
        self._applications: Applications | None = None
        self._given = listen_fds(unset_environment=False)
        """The number of sockets that systemd has opened."""
        self._tls: ssl.SSLContext | None = None
        # Sockets from systemd, and UNIX sockets, can't be opened once for each worker.
        shared = self._given > 0 or config.socket_path is not None
        self._options = {
            "bind": config.bind,
            "workers": config.workers,
            "worker_class": LoopWorker,
            # Without this, often one worker gets all connections of a client.
            "reuse_port": not shared,
            "control_socket_disable": True,
            "graceful_timeout": 20,
            "timeout": 60,
            "post_fork": _end_with_master,
            "worker_exit": self._leave,
            "loglevel": "warning",
        }
        super().__init__()

    def addresses_from_systemd(self) -> Sequence[str]:
        """The addresses of the TCP sockets that systemd has opened for this process."""
        addresses = []
        for descriptor in range(SD_LISTEN_FDS_START, SD_LISTEN_FDS_START + self._given):
            with socket.socket(fileno=os.dup(descriptor)) as given:
                if given.family != socket.AF_UNIX:
                    addresses.append(str(given.getsockname()[0]))
        return addresses

    def run(self) -> None:
        """Runs until a signal. Raises OSError if the server can't listen, CertificateError."""
        self._check_free()
        self._tls = self._read_certificate()
        # A worker's garbage collection would write to each object that it has from this process,
        # and so copy the memory that they share.
        gc.collect()
        gc.freeze()
        _Arbiter(self).run()

    def _check_free(self) -> None:
        """Raises OSError if the address is in use: with reuse_port, both servers would run, and a
        UNIX socket would be replaced."""
        host, path = self._config.host, self._config.socket_path
        if self._given:
            return
        if path is not None:
            _remove_unused(path)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.bind(str(path))
            path.unlink()
            return
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, self._config.port))

    def reload(self) -> None:
        """Called by gunicorn on SIGHUP, before it replaces the workers."""
        super().reload()
        try:
            self._tls = self._read_certificate()
        except CertificateError as error:
            log.error("server.%s; the previous certificate stays in use", error)

    def load_config(self) -> None:
        """Called by gunicorn to set its options."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def build_server(self) -> HttpServer:
        """Called by each worker, on its event loop."""
        _limit_memory()
        config = self._config
        applications = self._applications = self._build()
        base = {
            "SERVER_NAME": "localhost" if config.socket_path else config.host,
            "SERVER_PORT": str(config.port),
            "wsgi.url_scheme": "http" if config.certificate is None else "https",
        }
        pool = WsgiPool(
            applications.pages,
            config.threads,
            applications.pages_body_limit,
            get_running_loop(),
            base,
        )
        return HttpServer(
            applications.handlers,
            pool,
            Limits(connections=min(config.connections, _allowed_files() - _RESERVED_FILES)),
            applications.stop_handlers,
            log_access if config.access_log else None,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """Called by each worker. All have the same context, so that a client can resume a TLS
        session with any of them, and a worker can start while the files can't be read."""
        return self._tls

    def _read_certificate(self) -> ssl.SSLContext | None:
        config = self._config
        return server_context(config.certificate, config.key) if config.certificate else None

    def _leave(self, _arbiter: object, _worker: object) -> None:
        if self._applications is not None:
            self._applications.close()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """Also keeps the companion running."""

    app: GunicornServer

    def spawn_worker(self) -> int | None:
        """Called by gunicorn to fork a worker. Signals to it wait until its loop runs: before, they
        would be lost, and the worker would run on."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            pid: int | None = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return pid

    def manage_workers(self) -> None:
        """Called by gunicorn about every second."""
        super().manage_workers()
        if self.app.companion is not None:
            self.app.companion.keep_running()

    def reap_workers(self) -> None:
        """Called by gunicorn to reap all children that have exited."""
        if self.app.companion is not None:
            self.app.companion.poll()
        super().reap_workers()

    def stop(self, graceful: bool = True) -> None:
        """Called by gunicorn to stop the workers."""
        super().stop(graceful)
        if self.app.companion is not None:
            self.app.companion.terminate()
            self.app.companion.wait(time.monotonic() + _COMPANION_TIMEOUT)


def _end_with_master(arbiter: Any, _worker: object) -> None:
    # SIGKILL: an orphaned worker would keep the port and take connections from a new master's
    # workers. The heartbeats that it acknowledged are safe in the WAL.
    end_with_parent(arbiter.pid, signal.SIGKILL)


def _remove_unused(path: Path) -> None:
    """Removes a socket that a server has left behind. Raises OSError."""
    try:
        if not path.is_socket():
            if path.exists():
                raise OSError(errno.ENOTSOCK, "it exists, and is not a socket")
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink()
    else:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _allowed_files() -> int:
    """Raises the limit of open files as far as this process may, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else max(soft, 1_000_000)


def _limit_memory() -> None:
    # By default, glibc keeps the memory of large bodies in each thread's arena: hundreds of MB.
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(_M_ARENA_MAX, 2)
        allocator.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
