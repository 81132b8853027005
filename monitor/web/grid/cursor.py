"""A cursor: which data a client has. Every worker of every host can read it."""

import re
from bisect import bisect_left, bisect_right
from typing import NamedTuple, Self

_TEXT = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})\.([0-9a-f]{8})\.([0-9]{1,19})", re.ASCII)
_KEPT = 10_000


class GridCursor(NamedTuple):
    """The position that was read in arrivals and state, and by which turn of which worker."""

    position: int
    version: int
    worker: str
    turn: int

    def __str__(self) -> str:
        return f"{self.position}.{self.version}.{self.worker}.{self.turn}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """None if the text is not a cursor."""
        found = _TEXT.fullmatch(text or "")
        return cls(int(found[1]), int(found[2]), found[3], int(found[4])) if found else None

    def is_ahead_of(self, other: Self) -> bool:
        """Whether this cursor includes something that the other does not."""
        return self.position > other.position or self.version > other.version


class Turns:
    """The position of one worker at the end of each of its turns.

    Changes are tagged with the number of the turn that read them, so a worker's own cursor is
    exact. A cursor of another worker is looked up by its position. At the same position the other
    worker may have read less, because arrivals can become visible out of order, but a worker that
    reads later sees at least as much. So the turn that reached the position counts as unknown to
    the client, and earlier turns do not.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._first = 0
        self._positions: list[int] = []
        self._versions: list[int] = []

    def latest(self) -> GridCursor:
        """The cursor of a client that has all data."""
        turn, position = self._first + len(self._positions) - 1, self._positions[-1]
        if position == self._positions[0]:
            position = 0  # some earlier rows may not have been visible at the start
        return GridCursor(position, self._versions[-1], self._worker, turn)

    def begin(self, position: int, version: int) -> None:
        """Everything was read again up to here: earlier cursors become invalid."""
        self._first += len(self._positions)
        self._positions, self._versions = [position], [version]

    def add(self, position: int, version: int) -> int:
        """End a turn at this position; its number."""
        if len(self._positions) > 2 * _KEPT:
            del self._positions[:_KEPT], self._versions[:_KEPT]
            self._first += _KEPT
        self._positions.append(position)
        self._versions.append(version)
        return self._first + len(self._positions) - 1

    def unknown_from(self, cursor: GridCursor) -> int | None:
        """The first turn that `cursor` may lack; None if the cursor is too old."""
        if cursor.worker == self._worker:
            return cursor.turn + 1 if cursor.turn >= self._first else None
        if cursor.position < self._positions[0] or cursor.version < self._versions[0]:
            return None
        by_position = bisect_left(self._positions, cursor.position)
        return self._first + min(by_position, bisect_right(self._versions, cursor.version))
