"""Finds gaps in InfluxDB.

A point has the field `received` or `repaired`. InfluxQL can measure the time between points that
have the same field (`elapsed`, about 1 µs per point). A gap is where the gaps of both fields
overlap.
"""

from collections.abc import Collection, Iterator, Sequence

from monitor.model import parse_mac
from monitor.store.influxql import Series, Value, integer, within
from monitor.store.interface import Gap

_FIELDS = ("received", "repaired")
_EVER, _NEVER = -1, 1 << 62

Free = tuple[int, int]
"""A time span (ms) without a point strictly inside."""


def queries(oldest: int, start: int, stop: int, longer_than: int, macs: Sequence[int]) -> list[str]:
    """The InfluxQL statements; no point is older than `oldest`."""
    before, inside = within(oldest, start, macs), within(start, stop, macs)
    # The outer query does not name the sensors: every row would be compared with every name.
    span = within(start, stop, None)
    statements = []
    for field in _FIELDS:
        apart = f"SELECT elapsed({field}, 1ms) AS apart FROM heartbeat WHERE {inside} GROUP BY mac"  # noqa: S608
        statements += [
            f"SELECT last({field}) FROM heartbeat WHERE {before} GROUP BY mac",  # noqa: S608
            f"SELECT first({field}) FROM heartbeat WHERE {inside} GROUP BY mac",  # noqa: S608
            f"SELECT last({field}) FROM heartbeat WHERE {inside} GROUP BY mac",  # noqa: S608
            f"SELECT apart FROM ({apart}) WHERE apart > {longer_than} AND {span} GROUP BY mac",  # noqa: S608
        ]
    return statements


def gaps(
    answers: Sequence[Sequence[Series]],
    macs: Collection[int],
    start: int,
    stop: int,
    longer_than: int,
) -> Iterator[tuple[int, list[Gap]]]:
    """(mac, its gaps) as in Store.gaps, from the answers to `queries`."""
    rows = [{parse_mac(one.tags["mac"]): one.values for one in answer} for answer in answers]
    for mac in macs:
        known = [table.get(mac, []) for table in rows]
        received, repaired = _free(*known[:4]), _free(*known[4:])
        yield (
            mac,
            [
                Gap(None if before == _EVER else before, None if after == _NEVER else after)
                for before, after in _common(received, repaired)
                if before == _EVER or (after > start and min(after, stop) - before > longer_than)
            ],
        )


def _free(
    before: list[list[Value]],
    first: list[list[Value]],
    last: list[list[Value]],
    apart: list[list[Value]],
) -> list[Free]:
    begin = _time(before[0]) if before else _EVER
    if not first or not last:
        return [(begin, _NEVER)]
    head, tail = _time(first[0]), _time(last[0])
    inner = [(_time(row) - integer(row[1]), _time(row)) for row in apart]
    # New points may have been written between two of the queries.
    inner = [free for free in inner if head <= free[0] and free[1] <= tail]
    return [(begin, head), *inner, (tail, _NEVER)]


def _common(some: list[Free], others: list[Free]) -> Iterator[Free]:
    n = m = 0
    while n < len(some) and m < len(others):
        begin, end = max(some[n][0], others[m][0]), min(some[n][1], others[m][1])
        if begin < end:
            yield begin, end
        if some[n][1] < others[m][1]:
            n += 1
        else:
            m += 1


def _time(row: list[Value]) -> int:
    return integer(row[0])
