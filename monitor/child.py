"""A child process that runs one command of `monitor`, and is started again when it exits."""

import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
"""Seconds before the second restart in a row, and at most before later ones. The first restart has
no delay."""
_FIRST_SOCKET = 3
"""The descriptor of the first socket from systemd: see sd_listen_fds(3)."""
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h

log = logging.getLogger("monitor.supervisor")


def end_with_parent(parent: int, by: int) -> None:
    """Called in a new child process. The kernel sends it the signal `by` when `parent` dies, even
    by SIGKILL. To be exact, when the thread that started the child ends, so that must be the main
    thread."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # the parent is dead already
        os.kill(os.getpid(), by)


def _prepare(parent: int, blocked: Sequence[signal.Signals], sockets: Sequence[int]) -> None:
    """Called in a new child process before it runs its program."""
    # A terminal sends these to all processes, but the parent tells its children when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    end_with_parent(parent, signal.SIGTERM)
    if sockets:
        os.environ["LISTEN_PID"] = str(os.getpid())


class Child:
    """Used by the main thread of its parent, from which it gets SIGTERM when the parent dies. It
    starts with SIGINT and SIGHUP ignored."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        blocked: Sequence[signal.Signals] = (),
        sockets: int = 0,
    ) -> None:
        """`name`: for the log. `arguments`: those after `monitor`. `blocked`: signals that wait
        until the process asks for them, so that one that arrives while it starts does not end
        it. `sockets`: how many sockets from systemd the process gets."""
        self._name, self._arguments, self._blocked = name, arguments, blocked
        self._sockets = range(_FIRST_SOCKET, _FIRST_SOCKET + sockets)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._delay: float | None = None
        """Seconds before the last restart; None if there was none."""
        self._due = 0.0

    def keep_running(self) -> None:
        """Starts the process unless it runs. Called about every second."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            status, self._process = self._process.returncode, None
            if now - self._started > _LONGEST_DELAY or self._delay is None:
                self._delay = 0.0
            else:
                self._delay = min(max(2 * self._delay, _FIRST_DELAY), _LONGEST_DELAY)
            self._due = now + self._delay
            log.error("%s exited with %d; restarting in %.1f s", self._name, status, self._delay)
        if self._process is None and now >= self._due:
            self._started = now
            self._process = subprocess.Popen(  # noqa: S603 our own command line
                [sys.executable, "-m", "monitor", *self._arguments],
                # Safe here: the parent has one thread. SIGTERM lets the child finish its work.
                preexec_fn=functools.partial(_prepare, os.getpid(), self._blocked, self._sockets),
                pass_fds=self._sockets,
            )

    def poll(self) -> None:
        """Takes the status of the process if it has exited. A parent that reaps all its children
        calls this before, as the status would be lost."""
        if self._process is not None:
            self._process.poll()

    def send_signal(self, number: int) -> None:
        """Sends a signal to the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def terminate(self) -> None:
        """Tells the process to finish its work and exit."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, deadline: float) -> None:
        """Waits until the process has exited; kills it at `deadline` (time.monotonic)."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
