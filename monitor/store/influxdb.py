"""The store in InfluxDB 2. ARCHITECTURE.md documents the schema for other readers.

Writes: influxdb-client in synchronous mode with ready line protocol; its batching mode loses data
and does not survive a fork, its Point objects cost twenty times as much. Queries: InfluxQL, two
to four times faster than Flux here, answered as CSV. Make one instance after each fork.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import requests
import urllib3
from influxdb_client import BucketRetentionRules, InfluxDBClient, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from monitor.model import DAY, HOUR, SECOND, Heartbeat, Seen, format_mac, parse_mac
from monitor.store import packing
from monitor.store.interface import (
    Arrivals,
    Bucket,
    Cursor,
    Pulse,
    StoreRejected,
    StoreUnavailable,
)
from monitor.store.slots import slot

_TIMEOUT = 10 * SECOND
_NANOSECONDS = 1_000_000
_OVERLAP = 15 * SECOND * _NANOSECONDS
"""Longer than a write may take, so that an arrival that becomes visible late is still read."""

_LINES_A_POST = 10_000
_MACS_A_QUERY = 500
_WHOLE_RANGE_ABOVE = 5_000
"""Measured at 100,000 series: 500 macs 0.19 s, 2,000 at once 1.9 s, the whole range 3.8 s."""

_PAGE = 20_000
_REFUSALS = frozenset({400, 413, 422})
_METRIC = re.compile(r"m_[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_NOW = 'import "array"\narray.from(rows: [{now: int(v: now())}])'


class InfluxStore:
    """One organisation's two buckets. Threads may share an instance, forks may not."""

    def __init__(
        self,
        url: str,
        org: str,
        token: str,
        heartbeats_bucket: str,
        arrivals_bucket: str,
        retention: int,
    ) -> None:
        """`retention` in ms."""
        self._url, self._org = url, org
        self._heartbeats, self._arrivals = heartbeats_bucket, arrivals_bucket
        self._retention = retention
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=_TIMEOUT)
        self._write_api = self._client.write_api(write_options=SYNCHRONOUS)
        self._session = requests.Session()
        self._session.headers.update(
            {"Authorization": f"Token {token}", "Accept": "application/csv"}
        )

    def migrate(self) -> None:
        """Create the buckets that are missing and set their retention."""
        with _translated():
            buckets = self._client.buckets_api()
            for name, kept in ((self._heartbeats, self._retention), (self._arrivals, DAY)):
                rules = BucketRetentionRules(type="expire", every_seconds=kept // SECOND)
                bucket = buckets.find_bucket_by_name(name)
                if bucket is None:
                    buckets.create_bucket(bucket_name=name, org=self._org, retention_rules=[rules])
                else:
                    bucket.retention_rules = [rules]
                    buckets.update_bucket(bucket)

    def append(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Points of `heartbeat`, and one of `stamped` for a live one with a time of its own."""
        unique = {(beat.mac, beat.time) for beat in heartbeats}
        beats = heartbeats if len(unique) == len(heartbeats) else _merged(heartbeats)
        refused: list[tuple[Heartbeat, str]] = []
        for start in range(0, len(beats), _LINES_A_POST):
            self._append(beats[start : start + _LINES_A_POST], refused)
        if refused:
            raise StoreRejected(refused)

    def _append(self, beats: Sequence[Heartbeat], refused: list[tuple[Heartbeat, str]]) -> None:
        """A refusal does not say which line it means, nor if the others were kept: so halve."""
        try:
            self._write(self._heartbeats, _lines(beats), WritePrecision.MS)
        except ApiException as error:
            if error.status not in _REFUSALS:
                raise StoreUnavailable(f"InfluxDB answers {error.status}") from error
            if len(beats) == 1:
                refused.append((beats[0], f"InfluxDB answers {error.status}: {_reason(error)}"))
                return
            middle = len(beats) // 2
            self._append(beats[:middle], refused)
            self._append(beats[middle:], refused)

    def _write(self, bucket: str, lines: Iterable[str], precision: WritePrecision) -> None:
        """Raises ApiException for an answer, StoreUnavailable for none."""
        record = "\n".join(lines).encode()
        try:
            self._write_api.write(bucket, self._org, record, write_precision=precision)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}") from error

    def announce(self, source: str, until: int, seen: Sequence[Seen]) -> None:
        """Points without a time: the store's clock stamps them, whatever our clocks say. Points
        of one POST share that stamp, so each has a part of its own."""
        with _translated():
            for number, beats in enumerate(packing.parts(seen)):
                line = f'arrival,source={source},part={number} until={until}i,beats="{beats}"'
                self._write(self._arrivals, [line], WritePrecision.NS)

    def arrivals(self, after: Cursor | None) -> Arrivals:
        """The position is the newest stamp read, in ns of the store's clock."""
        if after is None:
            return Arrivals([], {}, Cursor(self.ping() * _NANOSECONDS))
        since = after.position - _OVERLAP
        query = f"SELECT until, beats FROM arrival WHERE time > {since} GROUP BY source, part"  # noqa: S608
        seen: list[Seen] = []
        watermarks: dict[str, int] = {}
        stamps: dict[str, int] = {}
        for line in self._lines(self._arrivals, query, "ns"):
            # Split by hand: the csv module refuses fields of this length.
            series, stamp, until, beats = line.rsplit(",", 3)
            if stamp == "time":
                continue
            key = f"{series},{stamp}"
            stamps[key] = int(stamp)
            if key in after.read:
                continue
            seen += packing.unpack(beats)
            source = _tag(series, "source")
            watermarks[source] = max(int(until), watermarks.get(source, 0))
        position = max([after.position, *stamps.values()])
        read = frozenset(key for key, stamp in stamps.items() if stamp > position - _OVERLAP)
        return Arrivals(seen, watermarks, Cursor(position, read))

    def pulse(self, pulse: Pulse) -> None:
        """One point an hour, overwritten each time."""
        line = (
            f"pulse,source={pulse.source} from={pulse.start}i,until={pulse.until}i,"
            f"closing={str(pulse.closing).lower()} {slot(pulse)}"
        )
        with _translated():
            self._write(self._heartbeats, [line], WritePrecision.MS)

    def coverage(self, start: int, stop: int) -> list[Pulse]:
        """A pulse is kept less than an hour before its end."""
        query = (
            f'SELECT "from", until, closing FROM pulse WHERE time >= {start - HOUR}ms '  # noqa: S608
            f"AND time <= {stop + HOUR}ms GROUP BY source"
        )
        pulses = (
            Pulse(_tag(row["tags"], "source"), int(row["from"]), int(row["until"]), _true(row))
            for row in self._rows(self._heartbeats, query)
        )
        return sorted(pulse for pulse in pulses if pulse.until >= start and pulse.start <= stop)

    def last_seen(
        self, since: int, macs: Collection[int] | None = None, live: bool = False
    ) -> dict[int, int]:
        """Few macs are asked for by name, many by reading everybody's."""
        if macs is not None and len(macs) <= _WHOLE_RANGE_ABOVE:
            found: dict[int, int] = {}
            for chunk in _chunks(macs):
                found.update(self._last_seen(since, chunk, live))
            return found
        everybody = self._last_seen(since, None, live)
        if macs is None:
            return everybody
        return {mac: everybody[mac] for mac in macs if mac in everybody}

    def _last_seen(self, since: int, macs: Sequence[int] | None, live: bool) -> dict[int, int]:
        where = _where(since, None, macs)
        found: dict[int, int] = {}
        newest: dict[int, int] = {}
        query = f"SELECT last(received) FROM heartbeat WHERE {where} GROUP BY mac"  # noqa: S608
        for row in self._rows(self._heartbeats, query):
            mac, time = _mac(row["tags"]), int(row["time"])
            newest[mac] = time
            # A stamp ahead of its own reception proves no more than the reception.
            found[mac] = min(time, int(row["last"]))
        if live:
            self._leave_out_history(found, newest, since, where)
        query = f"SELECT last(stamp) FROM stamped WHERE {where} GROUP BY mac"  # noqa: S608
        for row in self._rows(self._heartbeats, query):
            mac = _mac(row["tags"])
            found[mac] = max(int(row["time"]), found.get(mac, 0))
        return {mac: seen for mac, seen in found.items() if seen >= since}

    def _leave_out_history(
        self, found: dict[int, int], newest: dict[int, int], since: int, where: str
    ) -> None:
        query = f"SELECT last(history) FROM heartbeat WHERE {where} GROUP BY mac"  # noqa: S608
        for row in self._rows(self._heartbeats, query):
            mac = _mac(row["tags"])
            if int(row["time"]) == newest.get(mac):
                seen = [
                    beat.seen
                    for beat in self.heartbeats([mac], since, newest[mac] + 1)
                    if beat.live
                ]
                found.pop(mac)
                if seen:
                    found[mac] = max(seen)

    def history(
        self, macs: Collection[int], start: int, stop: int, every: int, metric: str | None = None
    ) -> dict[int, list[Bucket]]:
        """Grouped by the database."""
        begin = start - start % every
        selected = "count(received) AS beats"
        if metric is not None:
            field = _field(metric)
            selected += f', min("{field}") AS low, mean("{field}") AS mid, max("{field}") AS high'
        counted: dict[int, dict[int, Bucket]] = {mac: {} for mac in macs}
        for chunk in _chunks(macs):
            query = (
                f"SELECT {selected} FROM heartbeat WHERE {_where(begin, stop, chunk)} "  # noqa: S608
                f"GROUP BY mac, time({every}ms) fill(none)"
            )
            for row in self._rows(self._heartbeats, query):
                figures = (_number(row.get(name)) for name in ("low", "mid", "high"))
                bucket = Bucket(int(row["time"]), int(row["beats"] or 0), *figures)
                counted[_mac(row["tags"])][bucket.start] = bucket
        starts = range(begin, stop, every)
        return {
            mac: [buckets.get(moment) or Bucket(moment, 0) for moment in starts]
            for mac, buckets in counted.items()
        }

    def heartbeats(self, macs: Collection[int], start: int, stop: int) -> Iterator[Heartbeat]:
        """Read in pages; a page begins where the last one ended within its millisecond."""
        since, skip = start, 0
        while True:
            where = _where(since, stop, sorted(macs))
            query = f"SELECT * FROM heartbeat WHERE {where} LIMIT {_PAGE} OFFSET {skip}"  # noqa: S608
            count = 0
            for row in self._rows(self._heartbeats, query):
                beat = _heartbeat(row)
                if beat.time != since:
                    since, skip = beat.time, 0
                skip += 1
                count += 1
                yield beat
            if count < _PAGE:
                return

    def metric_names(self) -> set[str]:
        """The fields of `heartbeat` that are metrics."""
        rows = self._rows(self._heartbeats, "SHOW FIELD KEYS FROM heartbeat")
        return {row["fieldKey"][2:] for row in rows if row["fieldKey"].startswith("m_")}

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
            tables = self._client.query_api().query(_NOW)
        return int(tables[0].records[0]["now"]) // _NANOSECONDS

    def close(self) -> None:
        """Release connections."""
        self._session.close()
        self._client.close()

    def _rows(self, bucket: str, query: str) -> Iterator[dict[str, str]]:
        yield from csv.DictReader(self._lines(bucket, query, "ms"))

    def _lines(self, bucket: str, query: str, epoch: str) -> list[str]:
        """The lines of the CSV answer. Raises StoreUnavailable."""
        try:
            answer = self._session.post(
                f"{self._url}/query",
                params={"db": bucket, "epoch": epoch},
                data={"q": query},
                timeout=(_TIMEOUT / SECOND, 60),
            )
        except requests.RequestException as error:
            raise StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}") from error
        if answer.status_code != 200:
            raise StoreUnavailable(f"InfluxDB answers {answer.status_code}: {answer.text[:200]}")
        return answer.text.splitlines()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise StoreUnavailable(f"InfluxDB answers {error.status}: {_reason(error)}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreUnavailable(f"InfluxDB can't be reached: {type(error).__name__}") from error


def _reason(error: ApiException) -> str:
    return str(error.body or error.reason)[:300]


def _merged(heartbeats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """One heartbeat for each (mac, time): of two in one POST InfluxDB would drop the first."""
    merged: dict[tuple[int, int], Heartbeat] = {}
    for beat in heartbeats:
        earlier = merged.get((beat.mac, beat.time))
        if earlier is not None:
            metrics = {**(earlier.metrics or {}), **(beat.metrics or {})} or None
            beat = beat._replace(live=earlier.live or beat.live, metrics=metrics)
        merged[beat.mac, beat.time] = beat
    return list(merged.values())


def _lines(beats: Iterable[Heartbeat]) -> Iterator[str]:
    for mac, time, received, live, metrics in beats:
        address = mac.to_bytes(6, "big").hex(":")
        more = "" if live else ",history=true"
        if metrics:
            more += "".join(f",{_field(name)}={value!r}" for name, value in metrics.items())
        yield f"heartbeat,mac={address} received={received}i{more} {time}"
        if live and time != received:
            yield f"stamped,mac={address} stamp={time}i {received}"


def _field(metric: str) -> str:
    """The field of a metric. Raises ValueError for what is no name."""
    field = f"m_{metric}"
    if not _METRIC.fullmatch(field):
        raise ValueError(f"{metric!r} is not the name of a metric")
    return field


def _where(since: int, stop: int | None, macs: Sequence[int] | None) -> str:
    where = f"time >= {since}ms"
    if stop is not None:
        where += f" AND time < {stop}ms"
    if macs is not None:
        named = " OR ".join(f"mac = '{format_mac(mac)}'" for mac in macs)
        where += f" AND ({named})"
    return where


def _heartbeat(row: dict[str, str]) -> Heartbeat:
    metrics = {
        name[2:]: float(value) for name, value in row.items() if name.startswith("m_") and value
    }
    live = row.get("history") != "true"
    time = int(row["time"])
    return Heartbeat(parse_mac(row["mac"]), time, int(row["received"]), live, metrics or None)


def _tag(tags: str, name: str) -> str:
    found = re.search(rf'(?:^|[,"]){name}=([^,"]*)', tags)
    return found[1] if found else ""


def _mac(tags: str) -> int:
    return parse_mac(tags.removeprefix("mac="))


def _true(row: dict[str, str]) -> bool:
    return row["closing"] == "true"


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _chunks(macs: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(macs)
    for start in range(0, len(ordered), _MACS_A_QUERY):
        yield ordered[start : start + _MACS_A_QUERY]
