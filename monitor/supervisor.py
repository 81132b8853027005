"""`monitor serve`: starts the processes of the service, and restarts each one that exits.

Run as `python -m monitor.supervisor`, it imports only what it needs, to save memory.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from monitor import logs
from monitor.child import Child

_STOP_TIMEOUT = 35.0
"""Seconds that the processes have to finish their work: longer than gunicorn's workers, and after
them the shipper, may take."""


class Supervisor:
    """Keeps one process of each command running until SIGTERM, SIGINT, or its terminal closes."""

    def __init__(self, children: Sequence[Child], reloaded: Child) -> None:
        """`reloaded`: the child that gets SIGHUP."""
        self._children, self._reloaded = children, reloaded
        self._stopping = False

    def run(self) -> None:
        """Blocks until a signal, and returns when all child processes have ended."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        if not os.isatty(0):
            signal.signal(signal.SIGHUP, self._reload)
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
            # The terminal has been closed.
            signal.signal(signal.SIGHUP, self._stop)
        while not self._stopping:
            for child in self._children:
                child.keep_running()
            time.sleep(0.2)
        self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _reload(self, _signal: int, _frame: FrameType | None) -> None:
        self._reloaded.send_signal(signal.SIGHUP)

    def _end(self) -> None:
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT
        for child in self._children:
            child.wait(deadline)


def main() -> int:
    """Runs and supervises all processes. Arguments: level and form of the log, and what comes
    before the names of the processes."""
    level, form, *common = sys.argv[1:]
    logs.configure(level, form)
    web = Child("web", [*common, "web"], sockets=_sockets())
    others = [Child(name, [*common, name]) for name in ("scheduler", "notifier")]
    Supervisor([web, *others], web).run()
    return 0


def _sockets() -> int:
    """How many sockets systemd has opened for this process: see sd_listen_fds(3)."""
    mine = os.environ.get("LISTEN_PID") == str(os.getpid())
    return int(os.environ.get("LISTEN_FDS", "0")) if mine else 0


if __name__ == "__main__":
    sys.exit(main())
