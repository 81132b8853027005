"""Figures of the whole service: stored counters, and what is open or pending now."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from monitor.outbox.notifications import UNFINISHED
from monitor.state import health, horizon, tally
from monitor.state.horizon import Progress
from monitor.state.tables import incident, notification, sensor, source
from monitor.state.tally import BOUNDS, Labels


class Latency(NamedTuple):
    """A cumulative histogram: counts up to each of BOUNDS, the number, and the total (ms)."""

    within: Sequence[int]
    number: int
    total: int


class Figures(NamedTuple):
    """What `/metrics` reports about the service; times and durations in ms."""

    progress: Progress
    sensors: Mapping[bool, int]
    """paused -> number of registered sensors."""
    open_sources: int
    blind: int
    opened: Mapping[bool, int]
    """proven -> incidents opened so far."""
    closed: Mapping[Labels, int]
    """(reason,) -> incidents closed so far."""
    open: Mapping[bool, int]
    """acknowledged -> incidents open now."""
    finished: Mapping[Labels, int]
    """(channel, kind, sent | failed | cancelled) -> messages."""
    unfinished: Mapping[Labels, int]
    """(channel, kind, pending | claimed) -> messages."""
    due_since: int | None
    """When the oldest pending message became due."""
    attempts: Mapping[Labels, int]
    """(channel, sent | retry | failed) -> attempts."""
    suppressions: Mapping[Labels, int]
    """(channel, kind) -> messages about incidents that were suppressed or delayed."""
    failing: Mapping[str, bool]
    """channel -> whether its last message was refused."""
    decided: Latency
    """From the end of the threshold to the opening of the incident."""
    delivered: Mapping[Labels, Latency]
    """(channel,) -> from the opening of the incident to the acceptance of its message."""
    end_to_end: Mapping[Labels, Latency]
    """(channel,) -> from the end of the threshold to that acceptance."""


def read(connection: Connection) -> Figures:
    """All figures as of now: stored counters, and queries over current rows only."""
    progress, counted = horizon.progress(connection), tally.totals(connection)
    opened = counted["opened"]
    ended, acknowledged = incident.c.closed_at, incident.c.acknowledged_at
    is_unfinished = notification.c.state.in_(UNFINISHED)
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
        unfinished=_grouped(connection, _counts(*by_channel).where(is_unfinished)),
        due_since=connection.scalar(
            select(func.min(notification.c.next_attempt_at)).where(is_unfinished)
        ),
        attempts=counted["attempts"],
        suppressions=counted["suppressions"],
        failing={
            name: row.failing_since is not None for name, row in health.of_all(connection).items()
        },
        decided=_latencies(counted["decided"]).get((), Latency([0] * len(BOUNDS), 0, 0)),
        delivered=_latencies(counted["delivered"]),
        end_to_end=_latencies(counted["told"]),
    )


def _latencies(counted: Mapping[Labels, int]) -> dict[Labels, Latency]:
    """Labels -> histogram, from the counters that `tally.add_latencies` writes."""
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
