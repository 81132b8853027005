"""The store in InfluxDB 2. ARCHITECTURE.md documents the schema.

Writes use influxdb-client in synchronous mode with text in line protocol: its batching mode loses
data and does not survive a fork, and its Point objects take twenty times as long. Queries use
InfluxQL.
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

from monitor.model import DAY, HOUR, SECOND, Heartbeat, Seen, fits_in_header, format_mac, parse_mac
from monitor.outgoing.http import client_options
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
from monitor.store.line_protocol import apart, arrival_line, coverage_line, heartbeat_lines
from monitor.store.refusals import check_metric, sift

_TIMEOUT = 10 * SECOND
_LONG_TIMEOUT = 60 * SECOND
"""For queries of all sensors: 3.6 s with 100,000 series, increasing with their number."""

_NANOSECONDS = 1_000_000
_OVERLAP = 15 * SECOND * _NANOSECONDS
"""Longer than a write may take (ns), so that arrivals that become visible late are still read."""

_POINTS_PER_QUERY = 40
"""Points of the arrival log per query: at most 17 MB, to limit memory with a large fleet."""

_BEATS_PER_WRITE = 10_000
_MACS_PER_QUERY = 500
_WHOLE_RANGE_ABOVE = 5_000
"""Measured with 100,000 series: 500 sensors 0.19 s, 2,000 at once 1.9 s, all sensors 3.8 s."""

_REFUSALS = frozenset({400, 413, 422})
_DROPPED = re.compile(r"dropped[ =](\d+)")
_NOW = 'import "array"\narray.from(rows: [{now: int(v: now())}])'
_READABLE = "SELECT closing FROM pulse WHERE time > now() - 1s LIMIT 1"
_NOW_ANSWER = re.compile(rb",result,table,now\r\n,_result,0,(\d+)\s*\Z")


class InfluxStore:
    """Two buckets of one organization. Thread-safe; create an instance after each fork."""

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
        """`retention` in ms. `patience`: the maximum time (ms) of a query; None: it depends on the
        kind of query. Raises ValueError."""
        if not fits_in_header(token):
            raise ValueError("the InfluxDB token has characters that are not allowed in a header")
        self._org, self._retention = org, retention
        self._heartbeats, self._arrivals = heartbeats_bucket, arrivals_bucket
        self._client = InfluxDBClient(
            url=url, token=token, org=org, timeout=_TIMEOUT, **client_options(url)
        )
        api = self._client.api_client
        api.rest_client = StrictClient(api.configuration)
        self._write_api = self._client.write_api(write_options=SYNCHRONOUS)
        self._queries = Influxql(url.rstrip("/"), token, _TIMEOUT, patience)

    def migrate(self) -> None:
        """Creates missing buckets and sets their retention."""
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
                # Another process may have created it.
                if buckets.find_bucket_by_name(name) is None:
                    raise
        elif [rule.every_seconds for rule in bucket.retention_rules] != [seconds]:
            bucket.retention_rules = rules
            buckets.update_bucket(bucket)

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Writes points of `heartbeat`, and of `stamped` for live ones with a time of their own."""
        beats, refused = sift(heartbeats)
        unique = len({(beat.mac, beat.time) for beat in beats}) == len(beats)
        reasons: dict[tuple[int, int], str] = {}
        for group in [beats] if unique else apart(beats):
            for start in range(0, len(group), _BEATS_PER_WRITE):
                self._append(group[start : start + _BEATS_PER_WRITE], reasons)
        if reasons:
            refused += [(beat, reasons[beat[:2]]) for beat in beats if beat[:2] in reasons]
        if refused:
            raise StoreRejected(refused)

    def _append(self, beats: Sequence[Heartbeat], reasons: dict[tuple[int, int], str]) -> None:
        """Writes a batch. InfluxDB may refuse a whole batch because of one line without naming it,
        so a refused batch is halved until the line is found."""
        lines = list(heartbeat_lines(beats))
        try:
            self._write(self._heartbeats, lines, WritePrecision.MS)
        except ApiException as error:
            if error.status not in _REFUSALS:
                raise StoreUnavailable(_error_text(error)) from error
            if len(beats) == 1 and not is_influxdb(error.headers):
                raise foreign(error.status, error.headers) from error
            dropped = _DROPPED.search(str(error.body))
            if len(beats) == 1 or (dropped and int(dropped[1]) >= len(lines)):
                reasons.update((beat[:2], _error_text(error)) for beat in beats)
                return
            middle = len(beats) // 2
            self._append(beats[:middle], reasons)
            self._append(beats[middle:], reasons)

    def _write(self, bucket: str, lines: Iterable[str], precision: WritePrecision) -> None:
        """Raises ApiException for an error response, StoreUnavailable if there is no response."""
        record = "\n".join(lines).encode()
        try:
            self._write_api.write(bucket, self._org, record, write_precision=precision)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from error

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Writes one point per part. The tag `part` keeps points with the same time separate."""
        with _translated():
            for part, beats in enumerate(packing.parts(seen)):
                line = arrival_line(source, part, until, beats)
                self._write(self._arrivals, [line], WritePrecision.NS)

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """The position is the newest timestamp read, in ns of the store's clock.

        The field `beats` is most of the log, and most points of the overlap were read before, so
        the field is read only for new points. A point that is being written may have only one of
        its fields: it is skipped, and read again in the next overlap.
        """
        if after is None:
            return Arrivals([], {}, Cursor(self.ping() * _NANOSECONDS))
        logged = self._logged("until", after.position - _OVERLAP)
        new = {point: until for point, until in logged if point not in after.read}
        seen: list[Seen] = []
        watermarks: dict[str, int] = {}
        read = set(after.read)
        stamps = sorted(stamp for *_, stamp in new)
        for start in range(0, len(stamps), _POINTS_PER_QUERY):
            some = stamps[start : start + _POINTS_PER_QUERY]
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

    def add_coverage(self, span: CoverageSpan) -> None:
        """Writes one point per hour, which later calls overwrite."""
        with _translated():
            self._write(self._heartbeats, [coverage_line(span)], WritePrecision.MS)

    def coverage(self, start: int, stop: int) -> list[CoverageSpan]:
        """A span's point is less than an hour before the span's end, and the end may be long after
        `stop`: coverage during an outage of the store is written after the outage."""
        query = (
            f'SELECT "from", until, closing FROM pulse WHERE time > {start - HOUR}ms '  # noqa: S608
            "GROUP BY source"
        )
        spans = (
            CoverageSpan(series.tags["source"], integer(begin), integer(until), bool(closing))
            for series in self._queries.ask(self._heartbeats, query)
            for _, begin, until, closing in series.values
            # A point that is being written may have only some of its fields: skip it.
            if begin is not None and until is not None and closing is not None
        )
        return sorted(span for span in spans if span.until >= start and span.start <= stop)

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """Queried in parts: by name, or for very many sensors from the whole fleet."""
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
        for chunk in chunks(macs, _MACS_PER_QUERY):
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
        """A heartbeat that was received live and again as history has both fields: subtracts it
        once."""
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
        """Computed by the database."""
        found: dict[int, list[Gap]] = {}
        oldest = max(start - self._retention, 0)
        for chunk in chunks(macs, _MACS_PER_QUERY):
            queries = influx_gaps.queries(oldest, start, stop, longer_than, chunk)
            answers = self._queries.ask_all(self._heartbeats, queries, timeout=_LONG_TIMEOUT)
            found.update(influx_gaps.gaps(answers, chunk, start, stop, longer_than))
        return found

    def newest(self, mac: int, before: int, limit: int) -> list[Heartbeat]:
        """Sorted by the database."""
        since = max(before - self._retention, 0)
        order = f"ORDER BY time DESC LIMIT {limit}"
        query = f"SELECT * FROM heartbeat WHERE {within(since, before, [mac])} {order}"  # noqa: S608
        return list(_beats(self._queries.ask(self._heartbeats, query)))

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """Streamed by the database, with one query for each 500 sensors."""
        if len(macs) > _WHOLE_RANGE_ABOVE:
            wanted = frozenset(macs)
            return (beat for beat in self._points(start, stop, None) if beat.mac in wanted)
        pieces = [self._points(start, stop, chunk) for chunk in chunks(macs, _MACS_PER_QUERY)]
        return merge(*pieces, key=attrgetter("time"))

    def _points(self, start: int, stop: int, macs: Sequence[int] | None) -> Iterator[Heartbeat]:
        query = f"SELECT * FROM heartbeat WHERE {within(start, stop, macs)}"  # noqa: S608
        return _beats(self._queries.stream(self._heartbeats, query, _LONG_TIMEOUT))

    def metric_names(self) -> set[str]:
        """Read from the fields of the measurement `heartbeat`."""
        series = self._queries.ask(self._heartbeats, "SHOW FIELD KEYS FROM heartbeat")
        fields = (str(row[0]) for piece in series for row in piece.values)
        return {field[2:] for field in fields if field.startswith("m_")}

    def forget(self, mac: int) -> None:
        """Deletes by predicate."""
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
        """Does nothing: the buckets have a retention."""

    def ping(self) -> int:
        """Queried in Flux, because InfluxQL can't return the time. A statement in InfluxQL comes
        first: a store that can be written to, and not read, is not ready."""
        self._queries.ask(self._heartbeats, _READABLE)
        answer = self._queries.flux(self._org, _NOW)
        now = _NOW_ANSWER.search(answer)
        if now is None:
            raise StoreUnavailable(f"InfluxDB did not send its time: {answer[:80]!r}")
        return int(now[1]) // _NANOSECONDS

    def close(self) -> None:
        """Closes the connections."""
        self._queries.close()
        self._client.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise StoreUnavailable(_error_text(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error) from error


def _error_text(error: ApiException) -> str:
    return f"InfluxDB answered {error.status}: {str(error.body or error.reason)[:300]}"


def _unreachable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}")


def _beats(pieces: Iterable[Series]) -> Iterator[Heartbeat]:
    for series in pieces:
        for values in series.values:
            row = dict(zip(series.columns, values, strict=True))
            # A point from another writer may have neither field.
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
