import contextlib
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.ingest import parse
from monitor.ingest.fields import (
    GIVEN_TWICE,
    NOT_A_NUMBER,
    NOT_FINITE,
    TIME_AHEAD,
    TIME_TOO_OLD,
    TOO_MANY,
    UNREADABLE_TIME,
    UNUSABLE_NAME,
)
from monitor.ingest.parse import AcceptedTimes, Report, Sent, TooManyRows, UnusableReport
from monitor.model import DAY, MINUTE, format_mac, format_time, parse_mac

NOW = 1_795_395_720_000
SPAN = AcceptedTimes(NOW - 90 * DAY, NOW + MINUTE)
MAC = 0x02000000000A


def body(**fields: Any) -> bytes:
    return json.dumps({"mac_address": "02:00:00:00:00:0a", **fields}).encode()


def single(data: bytes) -> Report:
    return parse.with_accepted_time(parse.single(data), SPAN).report


def left_out(sent: Sent) -> dict[str, str]:
    return dict(sent.ignored)


@given(st.integers(0, 2**48 - 1), st.sampled_from([":", "-", ".", ""]), st.booleans())
def test_every_usual_notation_of_a_mac_address_is_parsed(
    mac: int, separator: str, upper: bool
) -> None:
    plain = f"{mac:012x}"
    size = 4 if separator == "." else 2
    spelled = separator.join(plain[n : n + size] for n in range(0, 12, size))
    spelled = spelled.upper() if upper else spelled
    assert parse_mac(spelled) == mac
    assert parse_mac(format_mac(mac)) == mac
    assert single(body(mac_address=spelled)).mac == mac


@given(st.text(alphabet="0123456789abcdefABCDEF:-. _x+g٣", min_size=10, max_size=18))
@example("0:2:00:00:00:00:0")
@example("02:00:00:00:00:_7")
@example("٠٢:00:00:00:00:07")
@example("02:00:00:00:00:0\n")
def test_invalid_address_is_refused_and_the_field_named(text: str) -> None:
    try:
        mac = parse_mac(text)
    except ValueError:
        with pytest.raises(UnusableReport) as caught:
            single(body(mac_address=text))
        assert caught.value.field == "mac_address"
    else:
        assert single(body(mac_address=text)).mac == mac


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"mac_address":"02:00:00:00:00:07","time":' + b"9" * 400 + b"}")
@example(b'{"mac_address":"02:00:00:00:00:07","time":1e308}')
@example(b'{"mac_address":"02:00:00:00:00:07","time":"0001-01-01T00:00:00+23:59"}')
@example(b'{"mac_address":"02:00:00:00:00:07","time":"9999-12-31T23:59:59-23:59"}')
@example(b'{"mac_address":"\\ud800"}')
@example(b'{"mac_address":"02:00:00:00:00:07","\\ud800":NaN}')
@example(b'{"mac_address":"02:00:00:00:00:07","a":"\xff"}')
@example(b'[{"mac_address":"02:00:00:00:00:07","a":"\xff"}, 1e999, [[]]]')
@example(b"[" + b"[" * 5_000 + b"]" * 5_000 + b"]")
@example("{}".encode("utf-16"))
def test_any_bytes_give_a_report_or_an_error_that_names_the_field(data: bytes) -> None:
    for read in (
        lambda: single(data),
        lambda: parse.array(data, SPAN, 10),
        lambda: parse.lines(data, SPAN, 10),
        lambda: parse.query(data.decode("latin-1")),
        lambda: parse.posted_form(data, data.decode("latin-1")),
        lambda: parse.single(data, data.decode("latin-1")),
    ):
        with contextlib.suppress(UnusableReport, TooManyRows):
            read()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=40)
    | st.just(format_mac(MAC))
    | st.just(format_time(NOW)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
names = st.sampled_from(["mac_address", "time", "battery", "received", "m"]) | st.text(max_size=40)


@given(values | st.dictionaries(names, values, max_size=20))
def test_any_json_is_refused_or_gives_a_valid_report(document: Any) -> None:
    try:
        sent = parse.single(json.dumps(document).encode())
    except UnusableReport:
        return
    report, ignored = parse.with_accepted_time(sent, SPAN)
    msgspec.json.encode(ignored)
    present = {name for name, value in document.items() if value is not None} - {"mac_address"}
    kept = len(report.metrics or ()) + (report.time is not None)
    assert len(present) == kept + len(ignored)
    assert 0 <= report.mac < 2**48
    assert report.live
    assert report.time is None or SPAN.earliest <= report.time <= SPAN.latest
    for name, value in (report.metrics or {}).items():
        assert name.isascii()
        assert math.isfinite(value)


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2026-11-23T01:02:00Z", NOW),
        ("2026-11-23T02:02:00.000+01:00", NOW),
        (NOW // 1000, NOW),
        (NOW / 1000 - 0.25, NOW - 250),
        (NOW + 7, NOW + 7),
    ],
)
def test_time_is_rfc_3339_or_unix_seconds_or_milliseconds(stamp: object, moment: int) -> None:
    assert single(body(time=stamp)) == Report(MAC, moment, True, None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"mac_address": "02:00"}, "mac_address"),
        ({"mac_address": 5}, "mac_address"),
    ],
)
def test_error_names_the_field(fields: dict[str, Any], named: str | None) -> None:
    with pytest.raises(UnusableReport) as caught:
        single(body(**fields))
    assert caught.value.field == named


WRONG_TIMES = [
    ("2026-11-23T01:02:00", UNREADABLE_TIME),
    ("yesterday", UNREADABLE_TIME),
    (True, UNREADABLE_TIME),
    (10**400, TIME_AHEAD),
    ([], UNREADABLE_TIME),
    (5, TIME_TOO_OLD),
    (format_time(NOW - 91 * DAY), TIME_TOO_OLD),
    (format_time(NOW + 2 * MINUTE), TIME_AHEAD),
    (1e300, TIME_AHEAD),
]


@pytest.mark.parametrize(("stamp", "reason"), WRONG_TIMES)
def test_wrong_time_of_a_live_heartbeat_is_ignored_and_named(stamp: object, reason: str) -> None:
    sent = parse.with_accepted_time(parse.single(body(time=stamp, fw="1", rssi=-70)), SPAN)
    assert sent.report == Report(MAC, None, True, {"rssi": -70.0})
    assert left_out(sent) == {"fw": NOT_A_NUMBER, "time": reason}


@pytest.mark.parametrize(("stamp", "_reason"), WRONG_TIMES)
def test_row_with_a_wrong_time_is_refused(stamp: object, _reason: str) -> None:
    row = body(time=stamp, rssi=-70)
    for batch in (parse.array(b"[%s]" % row, SPAN, 9), parse.lines(row, SPAN, 9)):
        assert batch.reports == []
        assert [unusable.field for unusable in batch.unusable] == ["time"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("fw", "1.2.3", NOT_A_NUMBER),
        ("battery", "3.1", NOT_A_NUMBER),
        ("where", {"x": [1, {"y": 2}]}, NOT_A_NUMBER),
        ("errors", [1, 2], NOT_A_NUMBER),
        ("battery", math.inf, NOT_FINITE),
        ("battery", math.nan, NOT_FINITE),
        ("battery", 10**400, NOT_FINITE),
        ("received", 1, UNUSABLE_NAME),
        ("mac", 1, UNUSABLE_NAME),
        ("x" * 33, 1, UNUSABLE_NAME),
        ("a b", 1, UNUSABLE_NAME),
        ("", 1, UNUSABLE_NAME),
    ],
)
def test_field_that_is_not_a_metric_is_ignored_and_named(
    name: str, value: object, reason: str
) -> None:
    sent = parse.single(body(**{name: value, "rssi": -70}))
    assert sent.report == Report(MAC, None, True, {"rssi": -70.0})
    assert left_out(sent) == {name: reason}


@pytest.mark.parametrize("number", ["nan", "-inf", "Infinity", "1e999", "9" * 5_000])
def test_malformed_number_is_ignored_and_the_heartbeat_kept(number: str) -> None:
    text = f'{{"mac_address":"02:00:00:00:00:0a", "t": {number} , "rssi":-70}}'
    sent = parse.single(text.encode())
    assert sent.report == Report(MAC, None, True, {"rssi": -70.0})
    assert left_out(sent) == {"t": NOT_FINITE}
    row = text.encode()
    for batch in (parse.array(b"[%s,%s]" % (row, row), SPAN, 9), parse.lines(row, SPAN, 9)):
        assert set(map(repr, batch.reports)) == {repr(sent.report)}
        assert (0, ("t", NOT_FINITE)) in batch.ignored


def test_booleans_become_0_and_1_and_null_is_absent() -> None:
    sent = parse.single(body(charging=True, door=False, battery=None, time=None))
    assert sent == (Report(MAC, None, True, {"charging": 1.0, "door": 0.0}), [])


def test_sixteen_metrics_are_kept_and_the_rest_named() -> None:
    metrics = {f"m{n}": float(n) for n in range(18)}
    sent = parse.single(body(**metrics))
    assert sent.report.metrics == {f"m{n}": float(n) for n in range(16)}
    assert left_out(sent) == {"m16": TOO_MANY, "m17": TOO_MANY}


def test_query_and_form_are_parsed_like_json() -> None:
    text = "mac_address=02-00-00-00-00-0A&battery=3.25&charging=true&fw=1.2.3&time=1795395720"
    report = Report(MAC, NOW, True, {"battery": 3.25, "charging": 1.0})
    for sent in (parse.query(text), parse.posted_form(text.encode() + b"\r\n")):
        assert sent.report == report
        assert left_out(sent) == {"fw": NOT_A_NUMBER}


def test_first_value_of_a_repeated_field_counts() -> None:
    sent = parse.query("mac_address=02000000000a&battery=1&battery=2")
    assert sent.report.metrics == {"battery": 1.0}
    assert left_out(sent) == {"battery": GIVEN_TWICE}


def test_query_adds_fields_and_does_not_override_the_body() -> None:
    query = "mac_address=02000000000a&battery=1&rssi=-70"
    expected = Report(MAC, None, True, {"battery": 2.0, "rssi": -70.0})
    assert parse.single(b'{"battery":2}', query).report == expected
    assert parse.posted_form(b"battery=2", query).report == expected


def test_single_heartbeat_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(UnusableReport, match="UTF-8"):
        parse.single(b'{"mac_address":"02:00:00:00:00:0a","name":"K\xfcche"}')
    with pytest.raises(UnusableReport, match="UTF-8"):
        parse.posted_form(b"mac_address=02:00:00:00:00:0a&name=K\xfcche")


GOOD = body()
BAD = b'{"mac_address":"02:00:00:00:00:0b","name":%s}'


@pytest.mark.parametrize("bad", [b'"K\xfcche"', b"[" * 5_000 + b"]" * 5_000, b"{", b'"\\ud8"'])
def test_unreadable_line_does_not_affect_other_lines(bad: bytes) -> None:
    batch = parse.lines(b"\n".join([GOOD, BAD % bad, GOOD]), SPAN, 9)
    assert (batch.rows, [row.row for row in batch.unusable]) == ([0, 2], [1])


def test_array_row_that_is_not_utf_8_does_not_affect_other_rows() -> None:
    batch = parse.array(b"[" + b",".join([GOOD, BAD % b'"K\xfcche"', GOOD]) + b"]", SPAN, 9)
    assert (batch.rows, [row.row for row in batch.unusable]) == ([0, 2], [1])
    assert "UTF-8" in batch.unusable[0].detail


def test_byte_order_mark_is_skipped() -> None:
    report, mark = body(), b"\xef\xbb\xbf"
    assert parse.single(mark + report) == parse.single(report)
    assert parse.lines(mark + report, SPAN, 9).rows == [0]
    assert parse.array(mark + b"[" + report + b"]", SPAN, 9).rows == [0]
    assert parse.posted_form(mark + b"mac_address=02000000000a").report.mac == MAC


@pytest.mark.parametrize("lines", [True, False])
def test_valid_rows_are_kept_and_invalid_rows_numbered(lines: bool) -> None:
    rows: list[Any] = [
        {"mac_address": "02000000000a"},
        {"mac_address": "zz"},
        {"mac_address": "02000000000a", "time": NOW - 5, "rssi": -70},
        7,
    ]
    if lines:
        batch = parse.lines("\n\n".join(map(json.dumps, rows)).encode() + b"\r\n{", SPAN, 5)
    else:
        batch = parse.array(json.dumps(rows).encode(), SPAN, 5)
    assert batch.reports == [
        Report(MAC, None, True, None),
        Report(MAC, NOW - 5, False, {"rssi": -70.0}),
    ]
    assert batch.rows == [0, 2]
    assert [(row.row, row.field) for row in batch.unusable][:2] == [(1, "mac_address"), (3, None)]
    with pytest.raises(TooManyRows):
        parse.array(json.dumps(rows).encode(), SPAN, 3)
