"""Processes that run up to a step and no further, forked from one that has rehearsed all of it."""

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from monitor.state.database import open_state
from monitor.store.sqlite import SqliteStore
from tests.faults import scene
from tests.faults.fuse import Fuse

SWEEP, DELIVER = "sweep", "deliver"
"""What can be done."""


@dataclass(frozen=True)
class Place:
    """Where it is done."""

    state_url: str
    store: Path
    arrived: Path
    """What the recipients accept is written here."""


class Nursery:
    """Ask it for a process; it has one thread and keeps nothing open when it forks."""

    def __init__(self, place: Place) -> None:
        forking = multiprocessing.get_context("forkserver")
        forking.set_forkserver_preload([__name__])
        self._mine, theirs = forking.Pipe()
        self._process = forking.Process(target=_serve, args=(place, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def rehearse(self, what: str) -> list[str]:
        """Do it all, in the nursery itself; the steps that it takes."""
        self._mine.send((what, None))
        steps: list[str] = self._mine.recv()
        return steps

    def run(self, what: str, burns_at: int) -> bool:
        """Do it in a process of its own; False when it was killed before that step."""
        self._mine.send((what, burns_at))
        code = os.waitstatus_to_exitcode(self._mine.recv())
        assert code in (0, -signal.SIGKILL), code
        return code == 0

    def close(self) -> None:
        """No more of them."""
        self._mine.close()
        self._process.join()


def _serve(place: Place, orders: Connection) -> None:
    fuse, engine = Fuse(), open_state(place.state_url)
    engine.connect().close()  # the first one asks the server what it is
    fuse.watch_statements(engine)
    store = SqliteStore(place.store, scene.RETENTION)
    fuse.watch_questions(store)

    def do(what: str) -> None:
        if what == SWEEP:
            scene.sweep(engine, store)
        else:
            while scene.deliver(engine, scene.recipients(place.arrived, fuse)):
                pass  # once more: trouble with one channel is told on the others
        fuse.step("the end")

    while True:
        try:
            what, burns_at = orders.recv()
        except EOFError:
            return
        fuse.lay(burns_at)
        if burns_at is None:
            do(what)
            engine.dispose()
            store.close()
            orders.send(fuse.steps)
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
