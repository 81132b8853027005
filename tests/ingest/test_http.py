import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.ingest.app import IngestApp, IngestLimits
from monitor.ingest.counts import new_counts
from monitor.ingest.fields import DETAILS, NOT_A_NUMBER
from monitor.ingest.group_commit import GroupCommit
from monitor.ingest.refused import RefusalsToSave, RefusedHeartbeats
from monitor.ingest.registry import Registry, RegistryChanges
from monitor.ingest.wal.reader import WalReader
from monitor.ingest.wal.writer import WalWriter
from monitor.model import DAY, MINUTE, format_time, parse_time
from monitor.state.tokens import digest
from tests.ingest.client import LoopThread, client

MAC = "02:00:00:00:00:0a"
LIMITS = IngestLimits(retention=90 * DAY, body=100_000, batch_rows=12_000, rate_per_sensor=2)


class Front:
    """An ingest app with a real WAL and a simulated state."""

    def __init__(self, directory: Path, spool_limit: int = 10**9, max_sensors: int = 3) -> None:
        self.tokens: frozenset[bytes] | None = frozenset()
        self.known: list[tuple[int, int | None, bool]] = []
        self.writer = WalWriter(directory / "spool", Clock(), spool_limit)
        self.registry = Registry(self._load, 10 * MINUTE, "", max_sensors)
        self.refresh()
        self.counts = new_counts()
        self.ignored = self.counts.ignored_fields
        self.saved: list[RefusalsToSave] = []
        self.refused = RefusedHeartbeats(
            self.counts.refused_heartbeats, self.registry.is_registered, self._save, Clock()
        )
        self.loop = LoopThread()
        self.app = IngestApp(
            self.writer,
            GroupCommit(self.loop.loop, self.writer, lambda _number: None),
            self.registry,
            LIMITS,
            Clock(),
            ["localhost"],
            self.ignored,
            self.refused,
        )
        self.client = client(self.app, self.loop.loop)

    def close(self) -> None:
        self.app.close()
        self.loop.close()
        self.writer.close()

    def _load(self, version: int) -> RegistryChanges:
        if self.tokens is None:
            raise StateUnavailable("simulated failure")
        return RegistryChanges(version + 1, True, self.known, bool(self.tokens), self.tokens, {})

    def _save(self, refused: RefusalsToSave) -> None:
        self.saved = [refused]

    def refresh(self) -> None:
        """As the thread does every other second."""
        with contextlib.suppress(StateUnavailable):
            self.registry.refresh()

    def post(self, path: str = "/heartbeat", **options: Any) -> TestResponse:
        options.setdefault("content_type", "application/json")
        return self.client.post(path, **options)

    def beat(self, **fields: Any) -> TestResponse:
        return self.post(json={"mac_address": MAC, **fields})


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    front = Front(tmp_path)
    yield front
    front.close()


def stored(directory: Path) -> list[tuple[int, Any]]:
    """(mac, metrics) of all that is in the WAL."""
    backlog = WalReader(directory / "spool")
    backlog.look(Clock().now())
    beats = [beat for reader in backlog.readers for beat in reader.take()]
    backlog.close()
    return [(beat.mac, beat.metrics) for beat in beats]


def problem(response: TestResponse, status: HTTPStatus, field: str | None = None) -> str:
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    document = json.loads(response.text)
    assert document["status"] == status
    assert document.get("field") == field
    return str(document["detail"])


def test_heartbeat_reply_shows_what_is_stored(front: Front) -> None:
    front.known = [(0x02000000000A, 90_000, False)]
    front.refresh()
    reply = json.loads(front.beat().text)
    assert reply["mac_address"] == MAC
    assert reply["time"] == reply["server_time"]
    assert reply["threshold_seconds"] == 90
    assert "skew_seconds" not in reply


def test_reply_to_stamped_heartbeat_has_its_clock_skew(front: Front) -> None:
    stamp = Clock().now() - 5_000
    reply = json.loads(front.beat(time=format_time(stamp)).text)
    assert parse_time(reply["time"]) == stamp
    assert -7 < reply["skew_seconds"] <= -5


def test_get_is_accepted_and_its_reply_is_not_cacheable(front: Front) -> None:
    response = front.client.get("/heartbeat?mac_address=0200.0000.000A&battery=3.1")
    assert json.loads(response.text)["mac_address"] == MAC
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "same-origin", 200),
        ("Sec-Fetch-Site", "none", 200),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://localhost", 200),
    ],
)
def test_cross_site_request_is_refused(
    front: Front, method: str, header: str, value: str, status: int
) -> None:
    response = front.client.open(
        f"/heartbeat?mac_address={MAC}", method=method, headers={header: value}
    )
    assert response.status_code == status
    if method in ("POST", "PUT"):
        batch = front.client.open(
            "/heartbeats", method=method, headers={header: value}, json=[{"mac_address": MAC}]
        )
        assert batch.status_code == status


JSON = f'{{"mac_address":"{MAC}","battery":3.1}}'
FORM = f"mac_address={MAC}&battery=3.1"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("data", "kind", "query"),
    [
        (JSON, None, ""),
        (JSON, "application/json; charset=utf-8", ""),
        (JSON, "text/plain", ""),
        (JSON, "application/x-www-form-urlencoded", ""),
        (JSON, "application/octet-stream", ""),
        ("\ufeff " + JSON, "application/json", ""),
        (FORM, "application/x-www-form-urlencoded", ""),
        (FORM, None, ""),
        (FORM, "text/plain;charset=UTF-8", ""),
        ("battery=3.1", "application/x-www-form-urlencoded", f"mac_address={MAC}"),
        ('{"battery":3.1}', "application/json", f"mac_address={MAC}"),
        ("", None, FORM),
        ("", "application/json", FORM),
    ],
)
def test_json_and_forms_are_accepted_with_any_content_type(
    front: Front, tmp_path: Path, method: str, data: str, kind: str | None, query: str
) -> None:
    response = front.client.open(
        "/heartbeat/", method=method, data=data.encode(), content_type=kind, query_string=query
    )
    assert response.status_code == 200, response.text
    assert "ignored" not in json.loads(response.text)
    assert stored(tmp_path) == [(0x02000000000A, {"battery": 3.1})]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("data", [f"[{JSON},{JSON}]", f"{JSON}\n{JSON}\n", f"\ufeff[{JSON}]"])
def test_batch_is_accepted_with_any_content_type(front: Front, data: str, kind: str | None) -> None:
    for path in ("/heartbeats", "/heartbeats/"):
        response = front.client.put(path, data=data.encode(), content_type=kind)
        assert json.loads(response.text)["accepted"] == data.count("battery")


def test_head_is_a_heartbeat_with_an_empty_reply(front: Front, tmp_path: Path) -> None:
    response = front.client.head(f"/heartbeat?{FORM}")
    assert (response.status_code, response.data) == (200, b"")
    assert stored(tmp_path) == [(0x02000000000A, {"battery": 3.1})]
    refused = front.client.head("/heartbeat")
    assert (refused.status_code, refused.data) == (400, b"")


def test_ignored_fields_are_named_and_counted_and_the_heartbeat_is_kept(
    front: Front, tmp_path: Path
) -> None:
    reply = json.loads(front.beat(fw="1.2.3", charging=True, battery=None, gps={"x": 1}).text)
    assert [field["field"] for field in reply["ignored"]] == ["fw", "gps"]
    assert reply["ignored"][0]["detail"] == DETAILS[NOT_A_NUMBER]
    assert stored(tmp_path) == [(0x02000000000A, {"charging": 1.0})]
    rows = [{"mac_address": MAC}, {"fw": "1"}, {"mac_address": MAC, "fw": "1", "rssi": -70}]
    batch = json.loads(front.post("/heartbeats", json=rows).text)
    assert (batch["accepted"], batch["rejected_count"], batch["ignored_count"]) == (2, 1, 1)
    assert [(field["row"], field["field"]) for field in batch["ignored"]] == [(2, "fw")]
    assert front.ignored.totals()[NOT_A_NUMBER] == 3


def test_number_of_ignored_fields_named_in_a_reply_is_limited(front: Front) -> None:
    many = {f"x{n}": "text" for n in range(1_000)}
    assert len(json.loads(front.beat(**many).text)["ignored"]) == 100


def test_metric_name_over_the_limit_is_ignored_and_the_heartbeat_kept(
    front: Front, tmp_path: Path
) -> None:
    for n in range(4):
        assert front.beat(**{f"junk{n}_{m}": m for m in range(16)}).status_code == 200
    front.known = [(0x020000000001, None, False)]
    front.refresh()
    # One sensor can't use up the metric names of another.
    reply = json.loads(front.beat(mac_address="020000000001", battery=3.1).text)
    assert "ignored" not in reply
    reply = json.loads(front.beat(battery=3.1, late=1).text)
    assert [field["field"] for field in reply["ignored"]] == ["late"]
    assert stored(tmp_path)[-1] == (0x02000000000A, {"battery": 3.1})


def test_ten_thousand_rows_in_one_request_are_accepted_plain_or_compressed(
    front: Front, tmp_path: Path
) -> None:
    front.writer.close()
    front = Front(tmp_path, max_sensors=20_000)
    rows = [{"mac_address": f"{n:012x}"} for n in range(10_000)]
    lines = "\n".join(map(json.dumps, rows)).encode()
    zipped = front.post(
        "/heartbeats",
        data=gzip.compress(json.dumps(rows[:3_000]).encode()),
        headers={"Content-Encoding": "gzip"},
    )
    assert json.loads(zipped.text)["accepted"] == 3_000
    half = front.post(
        "/heartbeats", data=lines[: len(lines) // 5], content_type="application/x-ndjson"
    )
    assert json.loads(half.text)["rejected_count"] <= 1
    front.writer.close()


def test_invalid_rows_are_named_and_valid_rows_kept(front: Front) -> None:
    reply = json.loads(front.post("/heartbeats", json=[{"mac_address": MAC}, {}, 5]).text)
    assert reply["accepted"] == 1
    assert [(row["row"], row["field"]) for row in reply["rejected"]] == [
        (1, "mac_address"),
        (2, None),
    ]
    assert "rejected" in problem(front.post("/heartbeats", json=[{}]), HTTPStatus.BAD_REQUEST)


def test_token_is_required_once_one_exists(front: Front) -> None:
    front.tokens = frozenset({digest("right")})
    front.refresh()
    detail = problem(front.beat(), HTTPStatus.UNAUTHORIZED, "Authorization")
    assert "monitor token" in detail
    for header, status in (("Bearer right", 200), ("Bearer wrong", 401), ("Basic right", 401)):
        response = front.post(json={"mac_address": MAC}, headers={"Authorization": header})
        assert response.status_code == status
    for name in ("token", "access_token"):
        response = front.client.get(f"/heartbeat?mac_address={MAC}&{name}=right")
        problem(response, HTTPStatus.BAD_REQUEST, name)


def test_heartbeats_are_refused_until_the_tokens_are_loaded(tmp_path: Path) -> None:
    class UnreadableRegistry(Front):
        def _load(self, version: int) -> RegistryChanges:
            raise StateUnavailable("simulated failure")

    front = UnreadableRegistry(tmp_path)
    response = front.beat()
    problem(response, HTTPStatus.SERVICE_UNAVAILABLE)
    assert response.headers["Retry-After"]
    front.close()


def test_heartbeats_are_accepted_while_the_state_is_unavailable(front: Front) -> None:
    front.tokens = frozenset({digest("right")})
    front.refresh()
    front.tokens = None
    front.refresh()
    header = {"Authorization": "Bearer right"}
    assert front.post(json={"mac_address": MAC}, headers=header).status_code == 200


def test_new_sensor_over_the_limit_is_refused_and_known_sensors_are_not(front: Front) -> None:
    for n in range(3):
        assert front.beat(mac_address=f"02000000000{n}").status_code == 200
    problem(front.beat(), HTTPStatus.FORBIDDEN, "mac_address")
    assert front.beat(mac_address="020000000002").status_code == 200


def test_sensor_that_reports_too_fast_gets_429_with_retry_after(front: Front) -> None:
    responses = [front.beat() for _ in range(45)]
    limited = [response for response in responses if response.status_code == 429]
    assert limited
    assert 1 <= int(limited[0].headers["Retry-After"]) <= 10
    assert front.beat(mac_address="020000000001").status_code == 200


@pytest.mark.parametrize(
    ("options", "status", "field"),
    [
        ({"data": "x", "content_type": "text/plain"}, 400, "mac_address"),
        ({"data": "x", "content_type": "multipart/form-data"}, 415, "Content-Type"),
        ({"data": "x", "content_type": "application/cbor"}, 415, "Content-Type"),
        ({"data": b'{"mac_address":"02:00:00:00:00:0a","name":"K\xfcche"}'}, 400, None),
        ({"data": "{"}, 400, None),
        ({"data": ""}, 400, None),
        ({"json": {"mac_address": "x"}}, 400, "mac_address"),
        ({"data": b"1" * 100_001}, 413, None),
        ({"data": gzip.compress(b" " * 10**7), "headers": {"Content-Encoding": "gzip"}}, 413, None),
        ({"data": b"xx", "headers": {"Content-Encoding": "gzip"}}, 400, None),
        ({"data": b"xx", "headers": {"Content-Encoding": "br"}}, 415, None),
        ({"json": {}, "base_url": "http://evil.example"}, 421, "Host"),
    ],
)
def test_invalid_request_gets_its_status(
    front: Front, options: dict[str, Any], status: int, field: str | None
) -> None:
    problem(front.post(**options), HTTPStatus(status), field)


def test_other_methods_get_405_with_allow_header(front: Front) -> None:
    assert front.client.delete("/heartbeat").headers["Allow"] == "GET, HEAD, POST, PUT"
    assert front.client.get("/heartbeats").headers["Allow"] == "POST, PUT"


def test_full_wal_gives_503_with_retry_after(tmp_path: Path) -> None:
    front = Front(tmp_path, spool_limit=600)
    statuses = [front.beat(battery=n) for n in range(15)]
    full = statuses[-1]
    problem(full, HTTPStatus.SERVICE_UNAVAILABLE)
    assert full.headers["Retry-After"]
    front.close()


PIECES = rb"""
    {"mac_address":"02:00:00:00:00:0a" mac_address=02000000000a "time": "a": nan 1e999 \ud800
    & = %ff % { } [ ] " , null
""".split()
FORM_TYPE = "application/x-www-form-urlencoded"
KINDS = ["application/json", "application/x-ndjson", "text/plain", "multipart/form-data", FORM_TYPE]
pieces = st.sampled_from([*PIECES, b"\n", b"9" * 400, b"[" * 2_000, b"\xff", b"\xef\xbb\xbf"])
plain = st.binary(max_size=200) | st.lists(pieces, max_size=12).map(b"".join)
bodies = plain | plain.map(gzip.compress) | plain.map(zlib.compress)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(["/heartbeat", "/heartbeats", "/heartbeat/", "/heartbeats/"]),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
    data=bodies,
    kind=st.sampled_from(["", *KINDS, "application/json;charset=\xff"]),
    encoding=st.sampled_from(["", "gzip", "deflate", "identity", "x"]),
    query=st.text(st.characters(codec="ascii", exclude_characters="#?"), max_size=40),
    authorization=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
)
def test_no_request_causes_a_500(
    front: Front,
    path: str,
    method: str,
    data: bytes,
    kind: str,
    encoding: str,
    query: str,
    authorization: str,
) -> None:
    headers = {"Content-Encoding": encoding, "Authorization": authorization}
    response = front.client.open(
        path, method=method, data=data, content_type=kind, headers=headers, query_string=query
    )
    assert response.status_code < 500
