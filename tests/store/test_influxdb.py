"""Tests that apply only to the InfluxDB store."""

import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from influxdb_client import InfluxDBClient, Permission, PermissionResource
from influxdb_client.client.write_api import SYNCHRONOUS

from monitor.model import DAY, HOUR, MINUTE, SECOND, Heartbeat, Seen, format_mac
from monitor.store import influx_last_seen, packing
from monitor.store.influxdb import InfluxStore
from monitor.store.influxql import Influxql, Series
from monitor.store.interface import CoverageSpan, Cursor, Store, StoreRejected, StoreUnavailable
from tests.conftest import RETENTION, influx_store
from tests.influxd.server import Access, InfluxdServer
from tests.store.beats import NOW, history, live, stored

NANOSECONDS = 1_000_000
QUESTIONS: dict[str, Callable[[Store], object]] = {
    "last_seen": lambda store: store.last_seen(NOW),
    "last_seen of some": lambda store: store.last_seen(NOW, [1, 2]),
    "history": lambda store: store.history([1], NOW, NOW + 1, 1),
    "heartbeats": lambda store: stored(store, 1),
    "coverage": lambda store: store.coverage(NOW, NOW + 1),
    "arrivals": lambda store: store.arrivals(Cursor(NOW * NANOSECONDS)),
    "metric_names": lambda store: store.metric_names(),
}
STATEMENTS: dict[str, Callable[[Store], None]] = {
    "append": lambda store: store.append([live(1, NOW + 50)]),
    "announce": lambda store: store.announce("a", NOW, [Seen(1, NOW, True)]),
    "pulse": lambda store: store.add_coverage(CoverageSpan("a", NOW, NOW, False)),
}
CHORES: dict[str, Callable[[Store], object]] = {
    "forget": lambda store: store.forget(1),
    "ping": lambda store: store.ping(),
    "migrate": lambda store: store.migrate(),
    "arrivals of now": lambda store: store.arrivals(None),
}


class Fixture:
    """A store on its own buckets, and the InfluxDB client for the same data."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.beats, self.log = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("beats", "arrivals"))
        self.store = self.with_token(access.token)
        self.client = InfluxDBClient(access.url, access.token, org=access.org)

    def with_token(self, token: str) -> InfluxStore:
        url, org = self.access.url, self.access.org
        return InfluxStore(url, org, token, self.beats, self.log, RETENTION)

    def write(self, bucket: str, line: str, precision: str = "ms") -> None:
        writer = self.client.write_api(write_options=SYNCHRONOUS)
        writer.write(bucket, record=line, write_precision=precision)

    def flux(self, query: str) -> list[dict[str, object]]:
        tables = self.client.query_api().query(f'from(bucket: "{self.beats}") |> {query}')
        return [dict(record.values) for table in tables for record in table.records]


@pytest.fixture
def here(influxdb: Access) -> Iterator[Fixture]:
    made = Fixture(influxdb)
    made.store.migrate()
    yield made
    made.store.close()
    made.client.close()


def test_rows_refused_by_influxdb_are_named_and_the_rest_stored(here: Fixture) -> None:
    here.write(here.beats, f'heartbeat,mac=02:00:00:00:00:00 m_text="word" {NOW}')
    beats = [live(mac, NOW + mac, load=1.0) for mac in range(300)]
    bad = {
        7: live(7, NOW + 7, text=1.0),
        8: live(8, NOW + 8, text=2.0),
        150: history(150, NOW - RETENTION - 30 * DAY),
        299: live(299, 10**17),
    }
    for place, beat in bad.items():
        beats[place] = beat
    with pytest.raises(StoreRejected) as caught:
        here.store.append(beats)
    reasons = {beat.mac: reason for beat, reason in caught.value.refused}
    assert sorted(reasons) == sorted(bad)
    for mac, reason in {7: "conflict", 150: "retention", 299: "400"}.items():
        assert reason in reasons[mac]
    kept = [beat for beat in beats if beat.mac not in bad]
    assert stored(here.store, *range(300)) == kept


def test_batch_refused_as_a_whole_is_not_split(
    here: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts: list[str] = []
    write = here.store._write

    def counted(bucket: str, lines: list[str], precision: Any) -> None:
        posts.append(bucket)
        write(bucket, lines, precision)

    monkeypatch.setattr(here.store, "_write", counted)
    too_old = [history(mac, NOW - RETENTION - 30 * DAY) for mac in range(5_000)]
    with pytest.raises(StoreRejected, match="5000 heartbeats refused"):
        here.store.append(too_old)
    assert posts == [here.beats]


def test_missing_bucket_is_an_error(influxdb: Access) -> None:
    store = Fixture(influxdb).store
    for name, ask in QUESTIONS.items():
        with pytest.raises(StoreUnavailable, match="database not found"):
            pytest.fail(f"{name} is answered {ask(store)!r}")
    for statement in STATEMENTS.values():
        with pytest.raises(StoreUnavailable, match="404"):
            statement(store)


def test_write_only_token_is_an_error(here: Fixture) -> None:
    here.store.append([live(1, NOW)])
    org = here.client.organizations_api().find_organizations(org=here.access.org)[0].id
    buckets = PermissionResource(type="buckets", org_id=org)
    authorization = here.client.authorizations_api().create_authorization(
        org_id=org, permissions=[Permission("write", buckets)]
    )
    writer = here.with_token(authorization.token)
    writer.append([live(2, NOW)])
    for name, ask in (QUESTIONS | {"ping": CHORES["ping"]}).items():
        with pytest.raises(StoreUnavailable):
            pytest.fail(f"{name} is answered {ask(writer)!r}")
    assert here.store.last_seen(NOW) == {1: NOW, 2: NOW}


def test_errors_do_not_show_the_token(here: Fixture) -> None:
    wrong = "wrong" + uuid.uuid4().hex
    store = here.with_token(wrong)
    for ask in (QUESTIONS | STATEMENTS | CHORES).values():
        with pytest.raises(StoreUnavailable, match="401") as caught:
            ask(store)
        assert wrong not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValueError, match="not allowed in a header") as unfit:
        here.with_token(wrong + "\n")
    assert wrong not in "".join(traceback.format_exception(unfit.value))


def test_arrival_that_becomes_visible_late_is_read_once(here: Fixture) -> None:
    cursor = here.store.arrivals(None).cursor
    here.store.announce("quick", NOW, [Seen(1, NOW, True)])
    first = here.store.arrivals(cursor)
    assert [seen.mac for seen in first.seen] == [1]
    (beats,) = packing.parts([Seen(2, NOW, True)])
    late = first.cursor.position - 10 * SECOND * NANOSECONDS
    here.write(here.log, f'arrival,source=slow,part=0 until={NOW}i,beats="{beats}" {late}', "ns")
    second = here.store.arrivals(first.cursor)
    assert (second.seen, second.watermarks) == ([Seen(2, NOW, True)], {"slow": NOW})
    assert second.cursor.position == first.cursor.position
    assert here.store.arrivals(second.cursor).seen == []


def test_last_seen_of_a_large_fleet_uses_several_queries(
    here: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.store.append([live(mac, NOW + mac) for mac in range(3_000)])
    asked: list[str] = []
    answered: list[int] = []
    ask = Influxql.ask_all

    def noted(*arguments: Any, **options: Any) -> list[list[Series]]:
        answers = ask(*arguments, **options)
        asked.extend(arguments[2])
        answered.append(sum(len(answer) for answer in answers))
        return answers

    monkeypatch.setattr(Influxql, "ask_all", noted)
    seen = {mac: NOW + mac for mac in range(3_000)}
    assert here.store.last_seen(NOW) == here.store.last_seen(NOW, range(4_000)) == seen
    monkeypatch.setattr(influx_last_seen, "_WHOLE_FLEET_ABOVE", 1_000)
    assert here.store.last_seen(NOW, range(500, 2_500)) == {n: NOW + n for n in range(500, 2_500)}
    assert all("mac =" in question for question in asked)
    assert max(question.count(" OR ") for question in asked) < 50
    assert max(answered) <= 1_000


def test_long_arrival_log_is_read_in_several_queries(
    here: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = here.store.arrivals(None).cursor
    (beats,) = packing.parts([Seen(1, NOW, True)])
    stamps = range(cursor.position + 1, cursor.position + 101)
    # Several points may have the same time.
    lines = [
        f'arrival,source={source},part=0 until={NOW}i,beats="{beats}" {stamp}'
        for stamp in stamps
        for source in ("a", "b")
    ]
    here.write(here.log, "\n".join(lines), "ns")
    answered: list[int] = []
    ask = Influxql.ask

    def noted(*arguments: Any, **options: Any) -> list[Series]:
        answer = ask(*arguments, **options)
        if "beats" in arguments[2]:
            answered.append(sum(len(series.values) for series in answer))
        return answer

    monkeypatch.setattr(Influxql, "ask", noted)
    first = here.store.arrivals(cursor)
    assert max(answered) < 50
    assert len(first.seen) == len(lines)
    assert first.cursor.position == stamps[-1]
    assert here.store.arrivals(first.cursor).seen == []


def test_partially_written_arrival_is_not_read(here: Fixture) -> None:
    cursor = here.store.arrivals(None).cursor
    here.store.announce("whole", NOW, [Seen(1, NOW, True)])
    (beats,) = packing.parts([Seen(2, NOW, True)])
    stamp = cursor.position + 1
    halves = {"a": f"until={NOW}i", "b": f'beats="{beats}"'}
    for source, field in halves.items():
        here.write(here.log, f"arrival,source={source},part=0 {field} {stamp}", "ns")
    first = here.store.arrivals(cursor)
    assert (first.seen, first.watermarks) == ([Seen(1, NOW, True)], {"whole": NOW})
    for source, field in zip(halves, reversed(halves.values()), strict=True):
        here.write(here.log, f"arrival,source={source},part=0 {field} {stamp}", "ns")
    second = here.store.arrivals(first.cursor)
    assert second.seen == [Seen(2, NOW, True)] * 2
    assert second.watermarks == {"a": NOW, "b": NOW}
    assert here.store.arrivals(second.cursor).seen == []


def test_partially_written_coverage_is_not_read(here: Fixture) -> None:
    here.store.add_coverage(CoverageSpan("whole", NOW, NOW + SECOND, False))
    here.write(here.beats, f"pulse,source=half from={NOW}i,closing=false {NOW}")
    assert here.store.coverage(NOW, NOW + MINUTE) == [
        CoverageSpan("whole", NOW, NOW + SECOND, False)
    ]
    here.write(here.beats, f"pulse,source=half until={NOW + 1}i {NOW}")
    assert here.store.coverage(NOW, NOW + MINUTE)[0] == CoverageSpan("half", NOW, NOW + 1, False)


def test_schema_matches_the_documentation(here: Fixture) -> None:
    stamped = Heartbeat(2, NOW - HOUR, NOW, True, None)
    here.store.append([live(1, NOW, battery=3.0), history(1, NOW - MINUTE, NOW), stamped])
    here.store.add_coverage(CoverageSpan("a", NOW - MINUTE, NOW + MINUTE, False))
    rows = here.flux(
        "range(start: 0) |> filter(fn: (r) => r._measurement == "
        '"heartbeat" or r._measurement == "stamped" or r._measurement == "pulse")'
    )
    told = {
        (row["_measurement"], row.get("mac") or row.get("source"), row["_field"], row["_value"])
        for row in rows
    }
    first, second = format_mac(1), format_mac(2)
    assert told == {
        ("heartbeat", first, "received", NOW),
        ("heartbeat", first, "m_battery", 3.0),
        ("heartbeat", first, "repaired", NOW),
        ("heartbeat", second, "received", NOW),
        ("stamped", second, "stamp", NOW - HOUR),
        ("pulse", "a", "from", NOW - MINUTE),
        ("pulse", "a", "until", NOW + MINUTE),
        ("pulse", "a", "closing", False),
    }
    times = {
        (row["_measurement"], row["_field"]): round(row["_time"].timestamp() * SECOND)  # type: ignore[attr-defined]
        for row in rows
    }
    assert times["heartbeat", "repaired"] == NOW - MINUTE
    assert times["stamped", "stamp"] == times["pulse", "from"] == NOW


def test_foreign_points_in_the_bucket_are_ignored(here: Fixture) -> None:
    here.write(here.beats, f"heartbeat,mac={format_mac(1)} m_load=1 {NOW}")
    here.write(here.beats, f"weather,place=here temperature=1 {NOW}")
    here.store.append([live(1, NOW + 1)])
    assert stored(here.store, 1) == [live(1, NOW + 1)]
    assert here.store.last_seen(NOW) == {1: NOW + 1}


def test_concurrent_migrations_succeed_and_update_the_retention(
    influxdb: Access,
) -> None:
    made = Fixture(influxdb)
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            made.with_token(influxdb.token).migrate()
        except BaseException as error:  # noqa: BLE001 raised in the test's main thread
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    shorter = InfluxStore(*influxdb, made.beats, made.log, 7 * DAY)
    shorter.migrate()
    kept = {}
    for name in (made.beats, made.log):
        bucket = made.client.buckets_api().find_bucket_by_name(name)
        kept[name] = [rule.every_seconds for rule in bucket.retention_rules]
    assert kept == {made.beats: [7 * DAY // SECOND], made.log: [DAY // SECOND]}


def test_killed_influxdb_is_unavailable_until_it_restarts(influxd: InfluxdServer) -> None:
    store = influx_store(influxd.access)
    for part in range(20):
        store.append([live(mac, NOW + part, load=0.5) for mac in range(10_000)])
    reading = store.heartbeats(range(10_000), NOW, NOW + DAY)
    next(reading)
    influxd.kill()
    with pytest.raises(StoreUnavailable):
        pytest.fail(f"a broken-off answer of {sum(1 for _ in reading)} passed for a whole one")
    for ask in (QUESTIONS | STATEMENTS | CHORES).values():
        with pytest.raises(StoreUnavailable):
            ask(store)
    influxd.start()
    store.append([live(1, NOW + 50)])
    assert store.last_seen(NOW, [1, 2]) == {1: NOW + 50, 2: NOW + 19}
    assert abs(store.ping() - time.time_ns() // NANOSECONDS) < 2 * SECOND
