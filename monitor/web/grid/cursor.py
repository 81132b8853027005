"""What a client was told already: a cursor that every worker of every host understands."""

import re
from bisect import bisect_left, bisect_right
from typing import NamedTuple, Self

_TEXT = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})\.([0-9a-f]{8})\.([0-9]{1,19})", re.ASCII)
_KEPT = 10_000


class GridCursor(NamedTuple):
    """How far arrivals and state had been read, and by which turn of which worker."""

    position: int
    version: int
    worker: str
    turn: int

    def __str__(self) -> str:
        return f"{self.position}.{self.version}.{self.worker}.{self.turn}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """None for whatever is not a cursor."""
        found = _TEXT.fullmatch(text or "")
        return cls(int(found[1]), int(found[2]), found[3], int(found[4])) if found else None

    def is_ahead_of(self, other: Self) -> bool:
        """Something was read here that was not read there."""
        return self.position > other.position or self.version > other.version


class Turns:
    """How far one worker had read at the end of each of its turns.

    What a turn brings is tagged with its number, so one's own cursor is exact. The cursor of
    another worker is looked up by how far that one had read. At the same position it may know
    less, since arrivals can become visible out of order; but who reads later has seen at least as
    far. So the turn that reached its position counts as not known to it, and no turn before.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._first = 0
        self._positions: list[int] = []
        self._versions: list[int] = []

    def latest(self) -> GridCursor:
        """The cursor of whoever has been told everything."""
        turn, position = self._first + len(self._positions) - 1, self._positions[-1]
        if position == self._positions[0]:
            position = 0  # where reading began is no proof that all before it was visible
        return GridCursor(position, self._versions[-1], self._worker, turn)

    def begin(self, position: int, version: int) -> None:
        """Everything was read anew up to here: no earlier cursor can be continued."""
        self._first += len(self._positions)
        self._positions, self._versions = [position], [version]

    def add(self, position: int, version: int) -> int:
        """The number of a turn that ends here."""
        if len(self._positions) > 2 * _KEPT:
            del self._positions[:_KEPT], self._versions[:_KEPT]
            self._first += _KEPT
        self._positions.append(position)
        self._versions.append(version)
        return self._first + len(self._positions) - 1

    def unknown_from(self, cursor: GridCursor) -> int | None:
        """The first turn that brought what `cursor` may lack; None: it is too old to tell."""
        if cursor.worker == self._worker:
            return cursor.turn + 1 if cursor.turn >= self._first else None
        if cursor.position < self._positions[0] or cursor.version < self._versions[0]:
            return None
        by_position = bisect_left(self._positions, cursor.position)
        return self._first + min(by_position, bisect_right(self._versions, cursor.version))
