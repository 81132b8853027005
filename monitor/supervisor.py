"""`monitor serve`: starts the processes of the service, and restarts each one that exits.

Run as `python -m monitor.supervisor`, it imports only what it needs, to save memory.
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

_STOP_TIMEOUT = 25.0
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
"""Seconds before the second restart in a row, and at most before later ones. The first restart has
no delay."""
_PR_SET_PDEATHSIG = 1


@dataclass
class _Child:
    command: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float | None = None
    """Seconds before the last restart; None if there was none."""
    due: float = 0.0


def end_with_parent(parent: int, by: int) -> None:
    """Called in a new child process. The kernel sends it the signal `by` when `parent` dies, even
    by SIGKILL. To be exact, when the thread that started the child ends, so that must be the main
    thread."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # the parent is dead already
        os.kill(os.getpid(), by)


class Supervisor:
    """Keeps one process of each command running until SIGTERM or SIGINT."""

    def __init__(self, commands: list[list[str]]) -> None:
        """`commands`: for each process, the arguments after `monitor`."""
        self._children = [_Child(" ".join(arguments), arguments) for arguments in commands]
        self._stopping = False

    def run(self) -> None:
        """Blocks until a signal, and returns when all child processes have ended."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        while not self._stopping:
            for child in self._children:
                self._check(child)
            time.sleep(0.2)
        self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _check(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            status, child.process = child.process.returncode, None
            if now - child.started > _LONGEST_DELAY or child.delay is None:
                child.delay = 0.0
            else:
                child.delay = min(max(2 * child.delay, _FIRST_DELAY), _LONGEST_DELAY)
            child.due = now + child.delay
            logger.error(
                "%s exited with %d; restarting in %.1f s", child.command, status, child.delay
            )
        if child.process is None and now >= child.due and not self._stopping:
            child.started = now
            child.process = subprocess.Popen(  # noqa: S603 our own command line
                [sys.executable, "-m", "monitor", *child.arguments],
                # Safe here: this process has one thread. SIGTERM lets the child finish its work.
                preexec_fn=functools.partial(end_with_parent, os.getpid(), signal.SIGTERM),
            )

    def _end(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    """Runs and supervises all processes. This process's arguments come before their names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    Supervisor([[*sys.argv[1:], name] for name in ("web", "scheduler", "notifier")]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
