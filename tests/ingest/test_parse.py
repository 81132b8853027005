import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.ingest import parse
from monitor.ingest.parse import Report, Span, TooManyRows, Unusable
from monitor.model import DAY, MINUTE, format_mac, format_time, parse_mac

NOW = 1_795_395_720_000
SPAN = Span(NOW - 90 * DAY, NOW + MINUTE)
MAC = 0x02000000000A


def body(**fields: Any) -> bytes:
    return json.dumps({"mac_address": "02:00:00:00:00:0a", **fields}).encode()


def single(data: bytes) -> Report:
    report = parse.single(data)
    parse.check_time(report, SPAN)
    return report


@given(st.integers(0, 2**48 - 1), st.sampled_from([":", "-", ".", ""]), st.booleans())
def test_every_usual_spelling_of_an_address_is_the_same_address(
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
def test_what_is_no_address_is_refused_by_its_name(text: str) -> None:
    try:
        mac = parse_mac(text)
    except ValueError:
        with pytest.raises(Unusable) as caught:
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
def test_no_bytes_make_anything_but_a_report_or_a_named_fault(data: bytes) -> None:
    for read in (
        lambda: single(data),
        lambda: parse.array(data, SPAN, 10),
        lambda: parse.lines(data, SPAN, 10),
        lambda: parse.query(data.decode("latin-1")),
    ):
        with contextlib.suppress(Unusable, TooManyRows):
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
def test_any_json_is_taken_or_refused_and_what_is_taken_is_sound(document: Any) -> None:
    try:
        report = single(json.dumps(document).encode())
    except Unusable:
        return
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
def test_a_time_is_rfc_3339_or_unix_seconds_or_unix_milliseconds(
    stamp: object, moment: int
) -> None:
    assert single(body(time=stamp)) == Report(MAC, moment, True, None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"mac_address": "02:00"}, "mac_address"),
        ({"mac_address": 5}, "mac_address"),
        ({"time": "2026-11-23T01:02:00"}, "time"),
        ({"time": True}, "time"),
        ({"time": format_time(NOW + 2 * MINUTE)}, "time"),
        ({"time": format_time(NOW - 91 * DAY)}, "time"),
        ({"battery": "3.1"}, "battery"),
        ({"battery": True}, "battery"),
        ({"battery": float("1e308") * 10}, None),
        ({"battery": 10**400}, "battery"),
        ({"received": 1}, "received"),
        ({"mac": 1}, "mac"),
        ({"x" * 33: 1}, "x" * 33),
        ({"a b": 1}, "a b"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(fields: dict[str, Any], named: str | None) -> None:
    with pytest.raises(Unusable) as caught:
        single(body(**fields))
    assert caught.value.field == named


def test_sixteen_metrics_are_taken_and_seventeen_are_not() -> None:
    metrics = {f"m{n}": float(n) for n in range(17)}
    with pytest.raises(Unusable):
        single(body(**metrics))
    del metrics["m16"]
    assert single(body(**metrics)).metrics == metrics


def test_a_query_says_the_same_as_a_body() -> None:
    asked = parse.query("mac_address=02-00-00-00-00-0A&battery=3.25&time=1795395720")
    assert asked == Report(MAC, NOW, True, {"battery": 3.25})


@pytest.mark.parametrize("lines", [True, False])
def test_good_rows_are_kept_and_bad_ones_numbered(lines: bool) -> None:
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
