"""Figures of the whole service: kept counts, and what is open or owed now."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from monitor.outbox.notifications import OWED
from monitor.state import health, horizon, tally
from monitor.state.horizon import Progress
from monitor.state.tables import incident, notification, sensor, source
from monitor.state.tally import BOUNDS, Labels


class Latency(NamedTuple):
    """How many took at most each of BOUNDS, how many there are, and their total (ms)."""

    within: Sequence[int]
    number: int
    total: int


class Figures(NamedTuple):
    """What `/metrics` tells of the service; moments and durations in ms."""

    progress: Progress
    sensors: Mapping[bool, int]
    """paused -> how many registered ones."""
    open_sources: int
    blind: int
    opened: Mapping[bool, int]
    """proven -> incidents ever opened."""
    closed: Mapping[Labels, int]
    """(reason,) -> incidents ever closed."""
    open: Mapping[bool, int]
    """acknowledged -> incidents open now."""
    finished: Mapping[Labels, int]
    """(channel, kind, sent | failed | cancelled) -> messages."""
    owed: Mapping[Labels, int]
    """(channel, kind, pending | claimed) -> messages."""
    due_since: int | None
    """Since when the message that waits longest has been due."""
    attempts: Mapping[Labels, int]
    """(channel, sent | retry | failed) -> tries."""
    suppressions: Mapping[Labels, int]
    """(channel, kind) -> incidents a channel was not told of, or not at once."""
    failing: Mapping[str, bool]
    """channel -> its last message was not accepted."""
    decided: Latency
    """From the end of the threshold to the incident."""
    delivered: Mapping[Labels, Latency]
    """(channel,) -> from the incident to the acceptance of the message that told of it."""
    told: Mapping[Labels, Latency]
    """(channel,) -> from the end of the threshold to the same acceptance."""


def read(connection: Connection) -> Figures:
    """All of them, as of now: what was counted, and queries bounded by what there is now."""
    progress, counted = horizon.progress(connection), tally.totals(connection)
    opened = counted["opened"]
    ended, acknowledged = incident.c.closed_at, incident.c.acknowledged_at
    is_owed = notification.c.state.in_(OWED)
    by_channel = (notification.c.channel, notification.c.kind, notification.c.state)
    return Figures(
        progress=progress,
        sensors=_flags(connection, _counts(sensor.c.paused).where(sensor.c.forgotten_at.is_(None))),
        open_sources=_number(connection, select(func.count()).where(source.c.open)),
        blind=counted["blind"].get((), 0),
        opened={True: opened.get(("proven",), 0), False: opened.get(("presumed",), 0)},
        closed=counted["closed"],
        open=_flags(connection, _counts(acknowledged.is_not(None)).where(ended.is_(None))),
        finished=counted["finished"],
        owed=_grouped(connection, _counts(*by_channel).where(is_owed)),
        due_since=connection.scalar(
            select(func.min(notification.c.next_attempt_at)).where(is_owed)
        ),
        attempts=counted["attempts"],
        suppressions=counted["suppressions"],
        failing={
            name: row.failing_since is not None for name, row in health.of_all(connection).items()
        },
        decided=_latencies(counted["decided"]).get((), Latency([0] * len(BOUNDS), 0, 0)),
        delivered=_latencies(counted["delivered"]),
        told=_latencies(counted["told"]),
    )


def _latencies(counted: Mapping[Labels, int]) -> dict[Labels, Latency]:
    """Labels -> the distribution, of what `tally.add_latencies` counted."""
    numbers: dict[Labels, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
    totals: dict[Labels, int] = defaultdict(int)
    for (*labels, place), amount in counted.items():
        if place == tally.TOTAL:
            totals[tuple(labels)] = amount
        else:
            numbers[tuple(labels)][int(place)] = amount
    found = {}
    for key, buckets in numbers.items():
        within = list(accumulate(buckets))
        found[key] = Latency(within[:-1], within[-1], totals[key])
    return found


def _counts(*labels: ColumnElement[Any]) -> Select[Any]:
    return select(*labels, func.count()).group_by(*labels)


def _grouped(connection: Connection, query: Select[Any]) -> dict[Labels, int]:
    return {tuple(row[:-1]): row[-1] for row in connection.execute(query)}


def _flags(connection: Connection, query: Select[Any]) -> dict[bool, int]:
    counted = {bool(flag): count for flag, count in connection.execute(query)}
    return {flag: counted.get(flag, 0) for flag in (True, False)}


def _number(connection: Connection, query: Select[Any]) -> int:
    return int(connection.scalar(query) or 0)
