"""Writes the results of a sweep in transactions of a bounded size."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

from monitor.state import leases, sensors
from monitor.state.database import writing
from monitor.state.leases import Lease

MOST_ROWS = 5_000
"""Rows in one transaction: about a second in PostgreSQL, so that other writers don't wait long."""

Row = TypeVar("Row")


class Step(NamedTuple):
    """A part of a sweep's writes."""

    rows: int
    write: Callable[[Connection, int], None]
    """Called with the connection and the version for the changed rows."""


def batches(
    rows: Sequence[Row], write: Callable[[Sequence[Row], Connection, int], None]
) -> Iterator[Step]:
    """Steps of at most MOST_ROWS rows each."""
    for start in range(0, len(rows), MOST_ROWS):
        batch = rows[start : start + MOST_ROWS]
        yield Step(len(batch), partial(write, batch))


def write_all(
    engine: Engine, lease: Lease, steps: Iterable[Step], record: Callable[[Connection], None]
) -> None:
    """Writes all steps in one transaction, or in several if there are many rows.

    `record` is in the last one: the progress is stored only after all results. Raises
    StateUnavailable, LeaseLost.
    """
    waiting = deque(steps)
    done = False
    while not done:
        with writing(engine) as connection:
            leases.fence(connection, lease)
            version = sensors.next_version(connection) if waiting else 0
            rows = 0
            while waiting and (not rows or rows + waiting[0].rows <= MOST_ROWS):
                step = waiting.popleft()
                step.write(connection, version)
                rows += step.rows
            done = not waiting
            if done:
                record(connection)
