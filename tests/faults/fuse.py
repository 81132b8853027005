"""Ends the process that burns it at a chosen step, as kill -9 does."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from monitor.channels.interface import Message, SendFailed

QUESTIONS = ("arrivals", "coverage", "last_seen")
"""What a sweep asks the store."""


class Fuse:
    """Counts what a process does to the world outside, each step just before it is done.

    Nothing outside changes between one step and the next: to die before a step is to die after
    the one before it.
    """

    def __init__(self) -> None:
        self.lay(None)

    def lay(self, burns_at: int | None) -> None:
        """Count from 0 again. `burns_at`: the number of the step that never happens; None: all
        do."""
        self._burns_at = burns_at
        self.steps: list[str] = []

    def step(self, what: str) -> None:
        """What is to be done next."""
        if len(self.steps) == self._burns_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps.append(what)

    def before(self, what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        """The same as a step."""

        def done(*arguments: Any, **options: Any) -> Any:
            self.step(what)
            return do(*arguments, **options)

        return done

    def watch_statements(self, engine: Engine) -> None:
        """Each statement, BEGIN, COMMIT and ROLLBACK on connections of this engine."""

        def executing(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.step(" ".join(statement.split())[:60])

        event.listen(engine, "before_cursor_execute", executing)
        dialect: Any = engine.dialect
        dialect.do_commit = self.before("COMMIT", dialect.do_commit)
        dialect.do_rollback = self.before("ROLLBACK", dialect.do_rollback)

    def watch_questions(self, store: Any) -> None:
        """What is asked of this store."""
        for name in QUESTIONS:
            setattr(store, name, self.before(name, getattr(store, name)))


class Recipient:
    """A channel that writes what it accepts into a file that outlives the process."""

    def __init__(self, name: str, file: Path, fuse: Fuse, refused: Sequence[str] = ()) -> None:
        """`refused`: kinds of messages that it takes later, and if "for good: <kind>", never."""
        self.name, self._file, self._fuse, self._refused = name, file, fuse, refused

    def send(self, message: Message) -> None:
        """As every channel."""
        self._fuse.step(f"send {message.kind} to {self.name}")
        if message.kind in self._refused:
            raise SendFailed("not now", permanent=False)
        if f"for good: {message.kind}" in self._refused:
            raise SendFailed("never", permanent=True)
        line = json.dumps([self.name, dict(message.data)])
        with self._file.open("a") as file:
            file.write(line + "\n")
