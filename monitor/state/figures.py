"""Figures of the whole service, from aggregate queries; what is called total never falls."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, select

from monitor.model import MINUTE, SECOND
from monitor.state import health, horizon
from monitor.state.horizon import Progress
from monitor.state.tables import (
    attempt,
    blind_window,
    incident,
    notification,
    notification_incident,
    sensor,
    source,
    suppression,
)

BOUNDS = (
    *(seconds * SECOND for seconds in (1, 2, 5, 10, 15, 30, 45)),
    *(minutes * MINUTE for minutes in (1, 1.5, 2, 5, 10, 30, 60)),
)
"""Upper ends of the buckets of every latency (ms)."""

_OWED = ("pending", "claimed")

Labels = tuple[str, ...]


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
    """All of them, as of now."""
    progress = horizon.progress(connection)
    ended, acknowledged = incident.c.closed_at, incident.c.acknowledged_at
    by_channel = (notification.c.channel, notification.c.kind, notification.c.state)
    is_owed = notification.c.state.in_(_OWED)
    overdue_at = incident.c.last_seen + incident.c.threshold
    (decided,) = _latencies(connection, (), [incident.c.opened_at - overdue_at], select())
    accepted_at = notification.c.finished_at
    delivered, told = _latencies(
        connection,
        (notification.c.channel,),
        [accepted_at - incident.c.opened_at, accepted_at - overdue_at],
        _delivered(),
    )
    return Figures(
        progress=progress,
        sensors=_flags(connection, _counts(sensor.c.paused).where(sensor.c.forgotten_at.is_(None))),
        open_sources=_number(connection, select(func.count()).where(source.c.open)),
        # What was before the first pulse was no interruption.
        blind=_number(
            connection,
            select(func.sum(blind_window.c.stop - blind_window.c.start)).where(
                blind_window.c.start > 0
            ),
        ),
        opened=_flags(connection, _counts(incident.c.proven)),
        closed=_grouped(connection, _counts(incident.c.closed_reason).where(ended.is_not(None))),
        open=_flags(connection, _counts(acknowledged.is_not(None)).where(ended.is_(None))),
        finished=_grouped(connection, _counts(*by_channel).where(~is_owed)),
        owed=_grouped(connection, _counts(*by_channel).where(is_owed)),
        due_since=connection.scalar(
            select(func.min(notification.c.next_attempt_at)).where(is_owed)
        ),
        attempts=_grouped(
            connection,
            _counts(notification.c.channel, attempt.c.result).join(
                attempt, attempt.c.notification_id == notification.c.id
            ),
        ),
        suppressions=_grouped(connection, _counts(suppression.c.channel, suppression.c.kind)),
        failing={
            name: row.failing_since is not None for name, row in health.of_all(connection).items()
        },
        decided=decided[()],
        delivered=delivered,
        told=told,
    )


def _delivered() -> Select[Any]:
    """First messages of an incident that a channel accepted, unless they were meant to wait."""
    held = exists().where(
        suppression.c.incident_id == incident.c.id,
        suppression.c.channel == notification.c.channel,
        suppression.c.kind == "down",
    )
    return (
        select()
        .select_from(notification)
        .join(notification_incident, notification_incident.c.notification_id == notification.c.id)
        .join(incident, incident.c.id == notification_incident.c.incident_id)
        .where(
            notification.c.kind == "down",
            notification.c.state == "sent",
            notification.c.delay == 0,
            ~held,
        )
    )


def _latencies(
    connection: Connection,
    labels: Sequence[ColumnElement[Any]],
    latencies: Sequence[ColumnElement[int]],
    of: Select[Any],
) -> list[dict[Labels, Latency]]:
    """For each of the latencies: labels -> its distribution. One query, since it reads a lot."""
    columns: list[ColumnElement[Any]] = [func.count()]
    for latency in latencies:
        columns.append(func.sum(latency))
        columns += [func.sum(case((latency <= bound, 1), else_=0)) for bound in BOUNDS]
    found: list[dict[Labels, Latency]] = [{} for _ in latencies]
    for row in connection.execute(of.add_columns(*labels, *columns).group_by(*labels)):
        number, *sums = (int(value or 0) for value in row[len(labels) :])
        for distributions in found:
            total, *within = sums[: 1 + len(BOUNDS)]
            del sums[: 1 + len(BOUNDS)]
            distributions[tuple(row[: len(labels)])] = Latency(within, number, total)
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
