"""What a worker tells of refused heartbeats: bounded, whatever strangers send."""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.ingest.counts import new_counts
from monitor.ingest.refused import ReadingTime, RefusalsToSave, RefusedHeartbeats
from monitor.refusal import (
    INVALID,
    METHOD,
    REASONS,
    SENSOR_LIMIT,
    TOO_OFTEN,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNSAFE_URL,
    UNSUPPORTED,
    WRONG_HOST,
)
from monitor.state.tokens import digest
from tests.ingest.test_http import MAC, Front

SENSOR = 0x02000000000A
OTHER = 0x02000000000B


class Book:
    """Receives what is saved; fails while the test wants that."""

    def __init__(self) -> None:
        self.saved: list[RefusalsToSave] = []
        self.failing = False

    def __call__(self, refused: RefusalsToSave) -> None:
        if self.failing:
            raise StateUnavailable("simulated failure")
        self.saved.append(refused)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    front = Front(tmp_path)
    front.known = [(SENSOR, None, False), (OTHER, None, False)]
    front.refresh()
    yield front
    front.close()


def last(front: Front) -> dict[int, str]:
    """MAC address -> reason of its last refusal, since the last call."""
    front.saved = []
    front.refused.save()
    return {mac: each.reason for save in front.saved for mac, each in save.last.items()}


def totals(front: Front) -> dict[str, int]:
    """The counts that are not 0."""
    counted = front.counts.refused_heartbeats.totals()
    return {reason: number for reason, number in counted.items() if number}


def require_token(front: Front) -> None:
    front.tokens = frozenset({digest("the token")})
    front.refresh()


def test_accepted_heartbeat_is_not_counted(front: Front) -> None:
    assert front.beat().status_code == 200
    assert last(front) == {}
    assert totals(front) == {}


def test_heartbeat_without_a_token_is_counted_with_its_sensor(front: Front) -> None:
    require_token(front)
    assert front.beat().status_code == 401
    assert front.client.get(f"/heartbeat?mac_address={MAC}").status_code == 401
    assert last(front) == {SENSOR: UNAUTHORIZED}
    assert totals(front) == {UNAUTHORIZED: 2}
    assert [dict(save.counts) for save in front.saved] == [{UNAUTHORIZED: 2}]


@pytest.mark.parametrize("compressed", [False, True])
def test_each_row_of_a_refused_batch_counts_with_its_sensor(front: Front, compressed: bool) -> None:
    require_token(front)
    body = json.dumps([{"mac_address": MAC}, {"mac_address": "02:00:00:00:00:0b"}]).encode()
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    reply = front.post(
        "/heartbeats", data=gzip.compress(body) if compressed else body, headers=headers
    )
    assert reply.status_code == 401
    assert last(front) == {SENSOR: UNAUTHORIZED, OTHER: UNAUTHORIZED}
    assert totals(front) == {UNAUTHORIZED: 2}


def test_sensors_that_are_not_registered_are_only_counted(front: Front) -> None:
    require_token(front)
    for number in range(200):
        front.post(json={"mac_address": f"02:00:00:00:01:{number:02x}"})
    assert last(front) == {}
    assert totals(front) == {UNAUTHORIZED: 200}


def test_each_reason_is_told_apart(front: Front) -> None:
    front.client.post("/heartbeat", json={"mac_address": MAC}, headers={"Host": "elsewhere"})
    assert last(front) == {SENSOR: WRONG_HOST}
    front.client.get(f"/heartbeat?mac_address={MAC}&token=secret")
    assert last(front) == {SENSOR: UNSAFE_URL}
    for _ in range(21):
        front.beat()
    assert last(front) == {SENSOR: TOO_OFTEN}
    front.client.delete("/heartbeat")
    front.post(data="no heartbeat")
    front.post(data=b"\0", content_type="image/png")
    front.post(json={"mac_address": "02:00:00:00:00:0c"})
    front.post(json={"mac_address": "02:00:00:00:00:0d"})
    assert totals(front) == {
        WRONG_HOST: 1,
        UNSAFE_URL: 1,
        TOO_OFTEN: 1,
        METHOD: 1,
        INVALID: 1,
        UNSUPPORTED: 1,
        SENSOR_LIMIT: 1,
    }


def test_rejected_rows_of_a_batch_are_counted_with_their_sensors(front: Front) -> None:
    rows = [
        {"mac_address": MAC, "time": "yesterday"},
        {"mac_address": "no address"},
        {"mac_address": "02:00:00:00:00:0b"},
        {"mac_address": "02:00:00:00:00:0c"},
        {"mac_address": "02:00:00:00:00:0d"},
    ]
    assert json.loads(front.post("/heartbeats", json=rows).text)["accepted"] == 2
    assert last(front) == {SENSOR: INVALID}
    assert totals(front) == {INVALID: 2, SENSOR_LIMIT: 1}
    assert front.post("/heartbeats", json=rows[:2]).status_code == 400
    assert totals(front) == {INVALID: 4, SENSOR_LIMIT: 1}


def test_heartbeats_that_cannot_be_stored_are_counted(front: Front) -> None:
    front.writer.close()
    assert front.beat().status_code == 503
    front.app.refused()
    assert last(front) == {SENSOR: UNAVAILABLE}
    assert totals(front) == {UNAVAILABLE: 2}


def test_reading_refused_requests_takes_a_twentieth_of_the_time() -> None:
    moments = iter([10.0, 10.03, 10.1, 10.14, 10.2, 10.9, 11.0, 11.01])
    reading = ReadingTime(lambda: next(moments))
    assert [reading.read(lambda: [SENSOR]) for _ in range(2)] == [[SENSOR], [SENSOR]]
    assert [reading.read(lambda: [SENSOR]) for _ in range(2)] == [None, None]
    assert reading.read(lambda: [SENSOR]) == [SENSOR]


def test_what_cannot_be_saved_is_saved_later() -> None:
    book = Book()
    refused = RefusedHeartbeats(new_counts().refused_heartbeats, lambda mac: True, book, Clock())
    book.failing = True
    refused.add(UNAUTHORIZED, 1, [SENSOR])
    refused.save()
    refused.add(WRONG_HOST, 1, [OTHER])
    book.failing = False
    refused.save()
    (saved,) = book.saved
    assert {mac: each.reason for mac, each in saved.last.items()} == {
        SENSOR: UNAUTHORIZED,
        OTHER: WRONG_HOST,
    }
    refused.save()
    assert len(book.saved) == 1


def test_log_has_one_line_a_minute_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    refused = RefusedHeartbeats(new_counts().refused_heartbeats, lambda mac: True, Book(), Clock())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            refused.add(UNAUTHORIZED, 2, [SENSOR, OTHER])
        refused.add(INVALID, 1, [])
        refused.save()
        refused.add(UNAUTHORIZED, 1, [SENSOR])
        refused.save()
    assert [record.getMessage() for record in caplog.records] == [
        "6 heartbeats refused: 401, the token is missing or not valid; one of them from "
        "02:00:00:00:00:0b",
        "1 heartbeat refused: 400, the heartbeat is invalid",
    ]


def test_reasons_are_few_and_fit_their_column() -> None:
    assert all(len(reason) <= 20 for reason in REASONS)
