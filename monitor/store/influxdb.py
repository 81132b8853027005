"""The store in InfluxDB 2. ARCHITECTURE.md documents the schema for other readers.

Writes: influxdb-client in synchronous mode with ready line protocol; its batching mode loses data
and does not survive a fork, its Point objects cost twenty times as much. Queries: InfluxQL.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import merge
from operator import attrgetter

import urllib3
from influxdb_client import BucketRetentionRules, BucketsApi, InfluxDBClient, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from monitor.model import DAY, HOUR, SECOND, Heartbeat, Seen, format_mac, parse_mac
from monitor.store import influx_gaps, influx_last_seen, packing
from monitor.store.influx_answers import StrictClient, foreign, is_influxdb
from monitor.store.influxql import Influxql, Series, Value, chunks, integer, within
from monitor.store.interface import (
    Arrivals,
    Bucket,
    CoverageSpan,
    Cursor,
    Gap,
    LogPoint,
    StoreRejected,
    StoreUnavailable,
)
from monitor.store.line_protocol import apart, arrival_line, heartbeat_lines, pulse_line
from monitor.store.refusals import check_metric, sift

_TIMEOUT = 10 * SECOND
_LONG_TIMEOUT = 60 * SECOND
"""For reading everybody's points: 3.6 s at 100,000 series, growing with their number."""

_NANOSECONDS = 1_000_000
_OVERLAP = 15 * SECOND * _NANOSECONDS
"""Longer than a write may take, so that an arrival that becomes visible late is still read."""

_POINTS_A_QUESTION = 40
"""Of the arrival log: 17 MB at most, so that a fleet of any size is read on after a pause."""

_BEATS_A_POST = 10_000
_MACS_A_QUERY = 500
_WHOLE_RANGE_ABOVE = 5_000
"""Measured at 100,000 series: 500 macs 0.19 s, 2,000 at once 1.9 s, the whole range 3.8 s."""

_REFUSALS = frozenset({400, 413, 422})
_DROPPED = re.compile(r"dropped[ =](\d+)")
_NOW = 'import "array"\narray.from(rows: [{now: int(v: now())}])'
_NOW_ANSWER = re.compile(rb",result,table,now\r\n,,0,(\d+)\s*\Z")


class InfluxStore:
    """One organisation's two buckets. Threads may share an instance; make one after each fork."""

    def __init__(
        self,
        url: str,
        org: str,
        token: str,
        heartbeats_bucket: str,
        arrivals_bucket: str,
        retention: int,
        patience: int | None = None,
    ) -> None:
        """`retention` in ms; `patience`: the most that a question may take (ms), None: what its
        kind may need. Raises ValueError."""
        if not token.isascii() or not token.isprintable() or " " in token:
            # The HTTP libraries would say so too, with the token in their words.
            raise ValueError("the InfluxDB token has characters that are not allowed in a header")
        self._org, self._retention = org, retention
        self._heartbeats, self._arrivals = heartbeats_bucket, arrivals_bucket
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=_TIMEOUT)
        api = self._client.api_client
        api.rest_client = StrictClient(api.configuration)
        self._write_api = self._client.write_api(write_options=SYNCHRONOUS)
        self._queries = Influxql(url.rstrip("/"), token, _TIMEOUT, patience)

    def migrate(self) -> None:
        """Create the buckets that are missing and set their retention."""
        with _translated():
            buckets = self._client.buckets_api()
            for name, kept in ((self._heartbeats, self._retention), (self._arrivals, DAY)):
                self._provision(buckets, name, kept // SECOND)

    def _provision(self, buckets: BucketsApi, name: str, seconds: int) -> None:
        rules = [BucketRetentionRules(type="expire", every_seconds=seconds)]
        bucket = buckets.find_bucket_by_name(name)
        if bucket is None:
            try:
                buckets.create_bucket(bucket_name=name, org=self._org, retention_rules=rules)
            except ApiException:
                # Another process may have been quicker.
                if buckets.find_bucket_by_name(name) is None:
                    raise
        elif [rule.every_seconds for rule in bucket.retention_rules] != [seconds]:
            bucket.retention_rules = rules
            buckets.update_bucket(bucket)

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Points of `heartbeat`, and one of `stamped` for a live one with a time of its own."""
        beats, refused = sift(heartbeats)
        once = len({(beat.mac, beat.time) for beat in beats}) == len(beats)
        reasons: dict[tuple[int, int], str] = {}
        for group in [beats] if once else apart(beats):
            for start in range(0, len(group), _BEATS_A_POST):
                self._append(group[start : start + _BEATS_A_POST], reasons)
        if reasons:
            refused += [(beat, reasons[beat[:2]]) for beat in beats if beat[:2] in reasons]
        if refused:
            raise StoreRejected(refused)

    def _append(self, beats: Sequence[Heartbeat], reasons: dict[tuple[int, int], str]) -> None:
        """A refusal of one line may be a refusal of all, and says not which: so halve."""
        lines = list(heartbeat_lines(beats))
        try:
            self._write(self._heartbeats, lines, WritePrecision.MS)
        except ApiException as error:
            if error.status not in _REFUSALS:
                raise StoreUnavailable(_words(error)) from error
            if len(beats) == 1 and not is_influxdb(error.headers):
                raise foreign(error.status, error.headers) from error
            dropped = _DROPPED.search(str(error.body))
            if len(beats) == 1 or (dropped and int(dropped[1]) >= len(lines)):
                reasons.update((beat[:2], _words(error)) for beat in beats)
                return
            middle = len(beats) // 2
            self._append(beats[:middle], reasons)
            self._append(beats[middle:], reasons)

    def _write(self, bucket: str, lines: Iterable[str], precision: WritePrecision) -> None:
        """Raises ApiException for an answer, StoreUnavailable for none."""
        record = "\n".join(lines).encode()
        try:
            self._write_api.write(bucket, self._org, record, write_precision=precision)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from error

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Each point has a part of its own, for those of one moment would be one."""
        with _translated():
            for part, beats in enumerate(packing.parts(seen)):
                line = arrival_line(source, part, until, beats)
                self._write(self._arrivals, [line], WritePrecision.NS)

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """The position is the newest stamp read, in ns of the store's clock.

        The beats are most of the log and most of the overlap was read before, so they are read
        only for points that are new. A point that is being written may show one of its fields
        and not the other: it is not there yet, and the overlap reads it again.
        """
        if after is None:
            return Arrivals([], {}, Cursor(self.ping() * _NANOSECONDS))
        logged = self._logged("until", after.position - _OVERLAP)
        new = {point: until for point, until in logged if point not in after.read}
        seen: list[Seen] = []
        watermarks: dict[str, int] = {}
        read = set(after.read)
        stamps = sorted(stamp for *_, stamp in new)
        for start in range(0, len(stamps), _POINTS_A_QUESTION):
            some = stamps[start : start + _POINTS_A_QUESTION]
            for point, beats in self._logged("beats", some[0] - 1, some[-1]):
                if point in new and point not in read:
                    seen += packing.unpack(str(beats))
                    source = point[0]
                    watermarks[source] = max(integer(new[point]), watermarks.get(source, 0))
                    read.add(point)
        position = max([after.position, *(stamp for *_, stamp in read)])
        kept = frozenset(point for point in read if point[2] > position - _OVERLAP)
        return Arrivals(seen, watermarks, Cursor(position, kept))

    def _logged(
        self, field: str, after: int, until: int | None = None
    ) -> Iterator[tuple[LogPoint, Value]]:
        """One field of the arrival log's points with after < time <= until (ns)."""
        span = f"time > {after}" if until is None else f"time > {after} AND time <= {until}"
        query = f"SELECT {field} FROM arrival WHERE {span} GROUP BY source, part"  # noqa: S608
        for series in self._queries.ask(self._arrivals, query, "ns"):
            for time, value in series.values:
                yield (series.tags["source"], series.tags["part"], integer(time)), value

    def pulse(self, pulse: CoverageSpan) -> None:
        """One point an hour, overwritten each time."""
        with _translated():
            self._write(self._heartbeats, [pulse_line(pulse)], WritePrecision.MS)

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        """A pulse is kept less than an hour before its end, which may lie any time after `stop`:
        what covers an outage of the store is first said when that is over."""
        query = (
            f'SELECT "from", until, closing FROM pulse WHERE time > {start - HOUR}ms '  # noqa: S608
            "GROUP BY source"
        )
        pulses = (
            CoverageSpan(series.tags["source"], integer(begin), integer(until), bool(closing))
            for series in self._queries.ask(self._heartbeats, query)
            for _, begin, until, closing in series.values
            # A point that is being written may show some of its fields only: not there yet.
            if begin is not None and until is not None and closing is not None
        )
        return sorted(pulse for pulse in pulses if pulse.until >= start and pulse.start <= stop)

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """In parts: by name, or very many by reading everybody's."""
        return influx_last_seen.last_seen(self._queries, self._heartbeats, since, macs, live)

    def history(
        self, macs: Collection[int], start: int, stop: int, every: int, metric: str | None = None
    ) -> dict[int, list[Bucket]]:
        """Grouped by the database."""
        begin = start - start % every
        selected = "count(received), count(repaired)"
        if metric is not None:
            check_metric(metric)
            selected += f", min(m_{metric}), mean(m_{metric}), max(m_{metric})"
        counted: dict[int, dict[int, Bucket]] = {mac: {} for mac in macs}
        for chunk in chunks(macs, _MACS_A_QUERY):
            where = within(begin, stop, chunk)
            group = f"GROUP BY mac, time({every}ms) fill(none)"
            query = f"SELECT {selected} FROM heartbeat WHERE {where} {group}"  # noqa: S608
            twice = False
            for series in self._queries.ask(self._heartbeats, query):
                buckets = counted[parse_mac(series.tags["mac"])]
                for time, live, repaired, *figures in series.values:
                    beats = integer(live or 0) + integer(repaired or 0)
                    twice = twice or bool(live and repaired)
                    buckets[integer(time)] = Bucket(integer(time), beats, *map(_figure, figures))
            if twice:
                self._count_once(counted, where, f"{within(begin, stop, None)} {group}")
        starts = range(begin, stop, every)
        return {
            mac: [buckets.get(moment) or Bucket(moment, 0) for moment in starts]
            for mac, buckets in counted.items()
        }

    def _count_once(self, counted: dict[int, dict[int, Bucket]], where: str, grouped: str) -> None:
        """A heartbeat that was heard live and sent again later has both fields."""
        query = (
            "SELECT count(both) FROM (SELECT received - repaired AS both FROM heartbeat "  # noqa: S608
            f"WHERE {where} GROUP BY mac) WHERE {grouped}"
        )
        for series in self._queries.ask(self._heartbeats, query):
            buckets = counted[parse_mac(series.tags["mac"])]
            for time, both in series.values:
                bucket = buckets[integer(time)]
                buckets[bucket.start] = bucket._replace(beats=bucket.beats - integer(both or 0))

    def gaps(
        self, macs: Collection[int], start: int, stop: int, longer_than: int
    ) -> dict[int, list[Gap]]:
        """Compared by the database."""
        found: dict[int, list[Gap]] = {}
        oldest = max(start - self._retention, 0)
        for chunk in chunks(macs, _MACS_A_QUERY):
            asked = influx_gaps.questions(oldest, start, stop, longer_than, chunk)
            answers = self._queries.ask_all(self._heartbeats, asked, timeout=_LONG_TIMEOUT)
            found.update(influx_gaps.gaps(answers, chunk, start, stop, longer_than))
        return found

    def newest(self, mac: int, before: int, limit: int) -> list[Heartbeat]:
        """Sorted by the database."""
        since = max(before - self._retention, 0)
        order = f"ORDER BY time DESC LIMIT {limit}"
        query = f"SELECT * FROM heartbeat WHERE {within(since, before, [mac])} {order}"  # noqa: S608
        return list(_beats(self._queries.ask(self._heartbeats, query)))

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """Streamed by the database, in one query for each 500 macs."""
        if len(macs) > _WHOLE_RANGE_ABOVE:
            wanted = frozenset(macs)
            return (beat for beat in self._points(start, stop, None) if beat.mac in wanted)
        pieces = [self._points(start, stop, chunk) for chunk in chunks(macs, _MACS_A_QUERY)]
        return merge(*pieces, key=attrgetter("time"))

    def _points(self, start: int, stop: int, macs: Sequence[int] | None) -> Iterator[Heartbeat]:
        query = f"SELECT * FROM heartbeat WHERE {within(start, stop, macs)}"  # noqa: S608
        return _beats(self._queries.stream(self._heartbeats, query, _LONG_TIMEOUT))

    def metric_names(self) -> set[str]:
        """The fields of `heartbeat` that are metrics."""
        series = self._queries.ask(self._heartbeats, "SHOW FIELD KEYS FROM heartbeat")
        fields = (str(row[0]) for piece in series for row in piece.values)
        return {field[2:] for field in fields if field.startswith("m_")}

    def forget(self, mac: int) -> None:
        """A delete by predicate."""
        with _translated():
            for measurement in ("heartbeat", "stamped"):
                self._client.delete_api().delete(
                    "1970-01-01T00:00:00Z",
                    "2200-01-01T00:00:00Z",
                    f'_measurement="{measurement}" AND mac="{format_mac(mac)}"',
                    bucket=self._heartbeats,
                    org=self._org,
                )

    def expire(self, now: int) -> None:
        """The buckets' retention does it."""

    def ping(self) -> int:
        """By the store's clock, which InfluxQL can't be asked for."""
        with _translated():
            answer = self._client.query_api().query_raw(_NOW).read()
        now = _NOW_ANSWER.search(answer)
        if now is None:
            raise StoreUnavailable(f"InfluxDB did not send its time: {answer[:80]!r}")
        return int(now[1]) // _NANOSECONDS

    def close(self) -> None:
        """Release connections."""
        self._queries.close()
        self._client.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise StoreUnavailable(_words(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error) from error


def _words(error: ApiException) -> str:
    return f"InfluxDB answered {error.status}: {str(error.body or error.reason)[:300]}"


def _unreachable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}")


def _beats(pieces: Iterable[Series]) -> Iterator[Heartbeat]:
    for series in pieces:
        for values in series.values:
            row = dict(zip(series.columns, values, strict=True))
            # Somebody else's point may have neither field.
            if (live := row.get("received") is not None) or row.get("repaired") is not None:
                yield _heartbeat(row, live)


def _heartbeat(row: Mapping[str, Value], live: bool) -> Heartbeat:
    metrics = {
        name[2:]: float(value)
        for name, value in row.items()
        if name.startswith("m_") and value is not None
    }
    received = integer(row["received" if live else "repaired"])
    return Heartbeat(
        parse_mac(str(row["mac"])), integer(row["time"]), received, live, metrics or None
    )


def _figure(value: Value) -> float | None:
    return None if value is None else float(value)
