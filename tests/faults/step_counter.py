"""Kills the process at a chosen step, as kill -9 does."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from monitor.channels.interface import Message, SendFailed

QUERIES = ("arrivals", "coverage", "last_seen")
"""The store queries of a sweep."""


class StepCounter:
    """Counts the external effects of a process, each step just before it happens.

    Nothing external changes between two steps, so a kill before a step is also a kill after
    the previous one.
    """

    def __init__(self) -> None:
        self.reset(None)

    def reset(self, kill_at: int | None) -> None:
        """Restart the count. `kill_at`: the number of the step before which to kill the process,
        or None."""
        self._kill_at = kill_at
        self.steps: list[str] = []

    def step(self, what: str) -> None:
        """Note the next step, or kill the process."""
        if len(self.steps) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps.append(what)

    def before(self, what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that each call is a step."""

        def done(*arguments: Any, **options: Any) -> Any:
            self.step(what)
            return do(*arguments, **options)

        return done

    def watch_statements(self, engine: Engine) -> None:
        """Make each statement, COMMIT and ROLLBACK of this engine a step."""

        def executing(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.step(" ".join(statement.split())[:60])

        event.listen(engine, "before_cursor_execute", executing)
        dialect: Any = engine.dialect
        dialect.do_commit = self.before("COMMIT", dialect.do_commit)
        dialect.do_rollback = self.before("ROLLBACK", dialect.do_rollback)

    def watch_queries(self, store: Any) -> None:
        """Make each query of this store a step."""
        for name in QUERIES:
            setattr(store, name, self.before(name, getattr(store, name)))


class Recipient:
    """A channel that writes accepted messages to a file, which survives the process."""

    def __init__(
        self, name: str, file: Path, counter: StepCounter, refused: Sequence[str] = ()
    ) -> None:
        """`refused`: kinds to refuse temporarily, or permanently as "permanent: <kind>"."""
        self.name, self._file, self._steps, self._refused = name, file, counter, refused

    def send(self, message: Message) -> None:
        """Send one message; a step."""
        self._steps.step(f"send {message.kind} to {self.name}")
        if message.kind in self._refused:
            raise SendFailed("not now", permanent=False)
        if f"permanent: {message.kind}" in self._refused:
            raise SendFailed("never", permanent=True)
        line = json.dumps([self.name, dict(message.data)])
        with self._file.open("a") as file:
            file.write(line + "\n")
