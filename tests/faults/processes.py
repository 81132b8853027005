"""Processes that are killed at a given step, forked from one that has run all steps."""

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from monitor.state.database import open_state
from monitor.store.sqlite import SqliteStore
from tests.faults import scene
from tests.faults.step_counter import StepCounter

SWEEP, DELIVER = "sweep", "deliver"
"""The kinds of work."""


@dataclass(frozen=True)
class Place:
    """Where the work is done."""

    state_url: str
    store: Path
    arrived: Path
    """The file of accepted messages."""


class ForkServer:
    """A process that forks workers; it has one thread and no open connections when it forks."""

    def __init__(self, place: Place) -> None:
        forking = multiprocessing.get_context("forkserver")
        forking.set_forkserver_preload([__name__])
        self._connection, child_end = forking.Pipe()
        self._process = forking.Process(target=_serve, args=(place, child_end), daemon=True)
        self._process.start()
        child_end.close()

    def rehearse(self, what: str) -> list[str]:
        """Do all the work in the fork server itself; the steps it took."""
        self._connection.send((what, None))
        steps: list[str] = self._connection.recv()
        return steps

    def run(self, what: str, kill_at: int) -> bool:
        """Do the work in a forked process; False if it was killed before the step."""
        self._connection.send((what, kill_at))
        code = os.waitstatus_to_exitcode(self._connection.recv())
        assert code in (0, -signal.SIGKILL), code
        return code == 0

    def close(self) -> None:
        """End the fork server."""
        self._connection.close()
        self._process.join()


def _serve(place: Place, orders: Connection) -> None:
    counter, engine = StepCounter(), open_state(place.state_url)
    engine.connect().close()  # the first connection runs extra queries
    counter.watch_statements(engine)
    store = SqliteStore(place.store, scene.RETENTION)
    counter.watch_queries(store)

    def do(what: str) -> None:
        if what == SWEEP:
            scene.sweep(engine, store)
        else:
            while scene.deliver(engine, scene.recipients(place.arrived, counter)):
                pass  # again: a failing channel is reported on the other
        counter.step("the end")

    while True:
        try:
            what, kill_at = orders.recv()
        except EOFError:
            return
        counter.reset(kill_at)
        if kill_at is None:
            do(what)
            engine.dispose()
            store.close()
            orders.send(counter.steps)
            continue
        child = os.fork()
        if not child:
            code = 1
            try:
                do(what)
                code = 0
            finally:
                os._exit(code)
        orders.send(os.waitpid(child, 0)[1])
