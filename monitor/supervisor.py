"""`monitor serve`: the processes of the service, each restarted when it ends.

Run as `python -m monitor.supervisor`, it imports nothing that it does not need.
"""

import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType

logger = logging.getLogger("monitor.supervisor")

_STOP_WITHIN = 25.0
_QUICKEST, _SLOWEST = 0.5, 30.0
"""Pauses before the second restart in a row and between later ones; the first has none."""
_PR_SET_PDEATHSIG = 1


@dataclass
class _Child:
    command: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float | None = None
    """Before the last restart; None: it has lived for long."""
    due: float = 0.0


def end_with_parent(parent: int, by: int) -> None:
    """Called by a new child: let the kernel send it the signal `by` when `parent` dies, even of
    SIGKILL. Strictly: when the thread that started it ends, so that must be the main thread."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it was gone already
        os.kill(os.getpid(), by)


class Supervisor:
    """Keeps one process of each command alive until SIGTERM or SIGINT."""

    def __init__(self, commands: list[list[str]]) -> None:
        """Each command: the arguments after `monitor`."""
        self._children = [_Child(" ".join(arguments), arguments) for arguments in commands]
        self._stopping = False

    def run(self) -> None:
        """Blocks until told to stop; returns when all children have ended."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        while not self._stopping:
            for child in self._children:
                self._tend(child)
            time.sleep(0.2)
        self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            status, child.process = child.process.returncode, None
            lived = now - child.started
            if lived > _SLOWEST or child.delay is None:
                child.delay = 0.0
            else:
                child.delay = min(max(2 * child.delay, _QUICKEST), _SLOWEST)
            child.due = now + child.delay
            logger.error(
                "%s exited with %d; restarting in %.1f s", child.command, status, child.delay
            )
        if child.process is None and now >= child.due and not self._stopping:
            child.started = now
            child.process = subprocess.Popen(  # noqa: S603 our own command line
                [sys.executable, "-m", "monitor", *child.arguments],
                # This process has one thread. Whoever is told so may still finish its work.
                preexec_fn=functools.partial(end_with_parent, os.getpid(), signal.SIGTERM),
            )

    def _end(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_WITHIN
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    """Run and supervise all processes, with the arguments of this one before their names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    Supervisor([[*sys.argv[1:], name] for name in ("web", "scheduler", "notifier")]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
