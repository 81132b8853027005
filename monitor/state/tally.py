"""Counts for `/metrics`: rows of `tally`, which are kept longer than what they count.

A transaction only adds rows, so transactions don't wait for each other. The scheduler merges the
rows regularly, to keep them few.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, func, insert, select

from monitor.model import MINUTE, SECOND
from monitor.state.database import in_chunks, reading
from monitor.state.tables import tally

BOUNDS = (
    *(seconds * SECOND for seconds in (1, 2, 5, 10, 15, 30, 45)),
    *(minutes * MINUTE for minutes in (1, 1.5, 2, 5, 10, 30, 60)),
)
"""The upper bounds of the buckets of latencies (ms)."""

TOTAL = "total"
"""The last label of a row with the total of latencies; other rows are of a bucket."""

Labels = tuple[str, ...]


def add(connection: Connection, name: str, amounts: Mapping[Labels, int]) -> None:
    """Adds `amounts`, by labels. Call it in the transaction whose changes it counts."""
    rows = [
        {"name": name, "labels": json.dumps(labels, ensure_ascii=False), "amount": amount}
        for labels, amount in amounts.items()
        if amount
    ]
    if rows:
        connection.execute(insert(tally), rows)


def add_latencies(
    connection: Connection, name: str, labels: Labels, latencies: Iterable[int]
) -> None:
    """Adds latencies (ms): each to its bucket, and all to the total."""
    amounts: Counter[Labels] = Counter()
    for latency in latencies:
        amounts[*labels, bucket(latency)] += 1
        amounts[*labels, TOTAL] += latency
    add(connection, name, amounts)


def bucket(latency: int) -> str:
    """The label of a latency's bucket: the index of its bound; the last one has no bound."""
    return str(next((n for n, bound in enumerate(BOUNDS) if latency <= bound), len(BOUNDS)))


def totals(connection: Connection) -> dict[str, dict[Labels, int]]:
    """name -> labels -> total."""
    found: dict[str, dict[Labels, int]] = defaultdict(dict)
    amount = func.sum(tally.c.amount)
    query = select(tally.c.name, tally.c.labels, amount).group_by(tally.c.name, tally.c.labels)
    for name, labels, total in connection.execute(query):
        found[name][tuple(json.loads(labels))] = int(total)
    return found


def can_be_merged(engine: Engine) -> bool:
    """Whether there are rows to merge. Raises StateUnavailable."""
    with reading(engine) as connection:
        return connection.execute(_counted_twice().limit(1)).first() is not None


def merge(connection: Connection, most: int) -> None:
    """Merges rows with the same name and labels, at most `most` (at least 2).

    Only one process may call it at a time.
    """
    twice = _counted_twice().order_by(tally.c.name, tally.c.labels).limit(most).subquery()
    same = (tally.c.name == twice.c.name) & (tally.c.labels == twice.c.labels)
    # In this order, so that rows with the same name and labels are adjacent.
    ordered = select(tally).join(twice, same).order_by(tally.c.name, tally.c.labels).limit(most)
    rows = connection.execute(ordered).all()
    amounts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        amounts[row.name, row.labels] += row.amount
    for ids in in_chunks([row.id for row in rows]):
        connection.execute(delete(tally).where(tally.c.id.in_(ids)))
    merged = [
        {"name": name, "labels": labels, "amount": amount}
        for (name, labels), amount in amounts.items()
    ]
    if merged:
        connection.execute(insert(tally), merged)


def _counted_twice() -> Select[Any]:
    names = tally.c.name, tally.c.labels
    return select(*names).group_by(*names).having(func.count() > 1)
