"""`monitor serve`: starts the processes of the service, and restarts each one that exits.

Run as `python -m monitor.supervisor`, it imports only what it needs, to save memory.
"""

import logging
import signal
import sys
import time
from types import FrameType

from monitor.child import Child

_STOP_TIMEOUT = 25.0
"""Seconds that the processes have to finish their work."""


class Supervisor:
    """Keeps one process of each command running until SIGTERM, SIGINT or SIGHUP."""

    def __init__(self, commands: list[list[str]]) -> None:
        """`commands`: for each process, the arguments after `monitor`."""
        self._children = [Child(" ".join(arguments), arguments) for arguments in commands]
        self._stopping = False

    def run(self) -> None:
        """Blocks until a signal, and returns when all child processes have ended."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
            signal.signal(signal.SIGHUP, self._stop)
        while not self._stopping:
            for child in self._children:
                child.keep_running()
            time.sleep(0.2)
        self._end()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT
        for child in self._children:
            child.wait(deadline)


def main() -> int:
    """Runs and supervises all processes. This process's arguments come before their names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    Supervisor([[*sys.argv[1:], name] for name in ("web", "scheduler", "notifier")]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
