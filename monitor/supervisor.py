"""`monitor serve`: the three processes of the service, each restarted when it dies."""

import ctypes
import logging
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType

logger = logging.getLogger(__name__)

_STOP_WITHIN = 25.0
_QUICKEST, _SLOWEST = 0.5, 30.0
_PR_SET_PDEATHSIG = 1


@dataclass
class _Child:
    command: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = _QUICKEST
    due: float = 0.0


def _die_with_parent() -> None:
    # A supervisor that is killed must not leave servers behind that hold its port.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


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
            child.delay = _QUICKEST if lived > _SLOWEST else min(2 * child.delay, _SLOWEST)
            child.due = now + child.delay
            logger.error("%s ended with %d; again in %.1f s", child.command, status, child.delay)
        if child.process is None and now >= child.due and not self._stopping:
            child.started = now
            child.process = subprocess.Popen(  # noqa: S603 our own command line
                [sys.executable, "-m", "monitor", *child.arguments],
                preexec_fn=_die_with_parent,  # this process has one thread
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
