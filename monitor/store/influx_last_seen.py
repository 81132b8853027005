"""Last seen in InfluxDB, queried in parts that each take only seconds, even for a large fleet.

Measured with 1,000,000 series on two busy cores: a sixteenth of the fleet takes 3 s, the whole
fleet at once more than a minute. 500 sensors by name take 40 ms in ten statements, 90 ms in one.
"""

from collections.abc import Collection, Iterator, Sequence

from monitor.model import SECOND, parse_mac
from monitor.store.influxql import Influxql, chunks, integer, named, within

_TIMEOUT = 60 * SECOND
_NAMES_PER_STATEMENT = 50
_STATEMENTS_PER_QUERY = 20
_WHOLE_FLEET_ABOVE = 100_000
"""Above this number of sensors, reading the whole fleet is faster than querying them by name."""

_DIGITS = "0123456789abcdef"
"""A fleet is divided by the last digit of the MAC address, which is evenly distributed: InfluxQL
can't select tags by range."""


def last_seen(
    queries: Influxql, bucket: str, since: int, macs: Collection[int] | None, live: bool
) -> dict[int, int]:
    """As Store.last_seen."""
    found: dict[int, int] = {}
    if macs is None or len(macs) > _WHOLE_FLEET_ABOVE:
        for digit in _DIGITS:
            found.update(_Part(queries, bucket, since, [f"mac =~ /{digit}$/"]).last_seen(live))
        return found if macs is None else {mac: found[mac] for mac in macs if mac in found}
    for chunk in chunks(macs, _NAMES_PER_STATEMENT * _STATEMENTS_PER_QUERY):
        each = [named(some) for some in chunks(chunk, _NAMES_PER_STATEMENT)]
        found.update(_Part(queries, bucket, since, each).last_seen(live))
    return found


class _Part:
    """Sensors that are queried together, with one statement for each condition."""

    def __init__(
        self, queries: Influxql, bucket: str, since: int, conditions: Sequence[str]
    ) -> None:
        self._queries, self._bucket, self._since = queries, bucket, since
        self._where = [f"{within(since, None, None)} AND {each}" for each in conditions]

    def last_seen(self, live: bool) -> dict[int, int]:
        found: dict[int, int] = {}
        ahead: dict[int, tuple[int, int]] = {}
        for mac, time, received in self._each("last(received)", "heartbeat", self._where):
            found[mac] = received
            if time > received:
                ahead[mac] = received, time
        # A point with a time in the future, from a fast clock, hides all later heartbeats until
        # that time.
        for chunk in chunks(ahead, _NAMES_PER_STATEMENT):
            begin = min(ahead[mac][0] for mac in chunk)
            end = max(ahead[mac][1] for mac in chunk)
            hidden = within(begin, end, chunk)
            for mac, _, received in self._each("max(received)", "heartbeat", [hidden]):
                found[mac] = max(received, found[mac])
        more = [self._each("last(stamp)", "stamped", self._where)]
        if not live:
            more.append(self._each("last(repaired)", "heartbeat", self._where))
        for points in more:
            for mac, time, _ in points:
                found[mac] = max(time, found.get(mac, 0))
        return {mac: seen for mac, seen in found.items() if seen >= self._since}

    def _each(
        self, selected: str, measurement: str, where: Sequence[str]
    ) -> Iterator[tuple[int, int, int]]:
        """(mac, time, value) of each sensor's selected point."""
        statements = [
            f"SELECT {selected} FROM {measurement} WHERE {each} GROUP BY mac"  # noqa: S608
            for each in where
        ]
        for answer in self._queries.ask_all(self._bucket, statements, timeout=_TIMEOUT):
            for series in answer:
                ((time, value),) = series.values
                yield parse_mac(series.tags["mac"]), integer(time), integer(value)
