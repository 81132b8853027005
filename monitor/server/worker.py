"""The gunicorn worker: runs the HTTP server on an event loop until a signal."""

import asyncio
import os
import signal

import uvloop
from gunicorn.workers.base import Worker

_CLOSING = 3
"""Seconds of gunicorn's graceful timeout that are left for what follows the last response."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""The signals that stop a worker."""


class LoopWorker(Worker):  # type: ignore[misc]
    """Its application is a `gunicorn_server.GunicornServer`."""

    _loop: asyncio.AbstractEventLoop
    _quick = False
    """Whether to exit without waiting for requests."""

    def init_process(self) -> None:
        """Called by gunicorn after the fork."""
        # Otherwise libuv sleeps after each connection that it accepts, to leave some to others.
        os.environ["UV_TCP_SINGLE_ACCEPT"] = "0"
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        super().init_process()

    def init_signals(self) -> None:
        """Called by gunicorn."""
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        # A terminal that closes sends it to all processes; the arbiter acts on it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGABRT, self.handle_abort)
        self._loop.add_signal_handler(signal.SIGTERM, self._stop, False)
        self._loop.add_signal_handler(signal.SIGINT, self._stop, True)
        self._loop.add_signal_handler(signal.SIGQUIT, self._stop, True)
        self._loop.add_signal_handler(signal.SIGUSR1, self.log.reopen_files)
        self._loop.add_signal_handler(signal.SIGWINCH, lambda: None)

    def load_wsgi(self) -> None:
        """Called by gunicorn. The application is built in `run`, on the event loop."""

    def run(self) -> None:
        """Called by gunicorn; returns when the worker should exit."""
        self._loop.run_until_complete(self._serve())

    def _stop(self, quick: bool) -> None:
        self.alive, self._quick = False, self._quick or quick

    def _goes_on(self) -> bool:
        self.notify()
        return bool(self.alive)

    async def _serve(self) -> None:
        # They were blocked before the fork. Only a loop that runs notices signals.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        server = self.app.build_server()
        await server.listen(
            [each.sock for each in self.sockets],
            self.app.tls_context(),
            shared=not self.cfg.reuse_port,
        )
        await server.run(self._goes_on)
        if not self._quick:
            await server.drain(self.cfg.graceful_timeout - _CLOSING, lambda: not self._quick)
        await server.close()
