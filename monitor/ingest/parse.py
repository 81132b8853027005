"""Parses request bodies and query strings into reports. Errors name the field at fault."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from monitor.ingest.fields import (
    TIME_AHEAD,
    TIME_TOO_OLD,
    UNREADABLE_TIME,
    Ignored,
    form,
    ignored,
    metrics,
)
from monitor.model import SECOND, parse_mac, parse_time

_MILLISECONDS_FROM = 1e11
"""A number above this is a time in milliseconds, otherwise in seconds (until the year 5138)."""

_EXAMPLE = '{"mac_address": "02:00:00:00:00:00"}'

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_FINITE = re.compile(rb"(?<=[:,\[\s])[+-]?(?:nan|inf(?:inity)?)(?=\s*[,}\]])", re.IGNORECASE)
"""Non-finite numbers as devices print them; they are not valid JSON."""

_json = msgspec.json.Decoder()
_raw_rows = msgspec.json.Decoder(list[msgspec.Raw])

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it can't decode, also if not UTF-8 or nested too deeply."""


class Report(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A sensor's report before it has a time of receipt; also a row of a WAL record."""

    mac: int
    time: int | None
    """The sensor's own timestamp (ms); None for the time of receipt."""
    live: bool
    """True if the sensor reports now; False for history."""
    metrics: dict[str, float] | None

    def without(self, names: Iterable[str]) -> "Report":
        """The report without these metrics."""
        removed = frozenset(names)
        kept = {name: n for name, n in (self.metrics or {}).items() if name not in removed}
        return Report(self.mac, self.time, self.live, kept or None)


class Sent(NamedTuple):
    """The report of one request, and its ignored fields."""

    report: Report
    ignored: Sequence[Ignored]


class AcceptedTimes(NamedTuple):
    """The times that a report may have, in ms, both ends included."""

    earliest: int
    latest: int


class UnusableReport(ValueError):
    """An invalid report; `field` is None if the error is not in one field, `mac` is None if its
    sensor is not known."""

    def __init__(self, field: str | None, detail: str, mac: int | None = None) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail
        self.mac = mac


class TooManyRows(Exception):
    """A batch has more rows than allowed in one request."""


class UnusableRow(NamedTuple):
    """An invalid row of a batch; rows are counted from 0."""

    row: int
    field: str | None
    detail: str
    mac: int | None = None
    """The sensor, if it is known."""


class Batch(NamedTuple):
    """The valid and the invalid rows of one request. `rows[i]` is the row number of `reports[i]`,
    and `ignored` has pairs of a row number and an ignored field of that row."""

    reports: list[Report]
    rows: list[int]
    unusable: list[UnusableRow]
    ignored: list[tuple[int, Ignored]]


def single(body: bytes, query: str = "") -> Sent:
    """The report in a JSON body, with additional fields from a query string. The caller applies
    `with_accepted_time`. Raises UnusableReport."""
    fields = _document(body)
    if not query or type(fields) is not dict:
        return _report(fields, live=True)
    return _with_query(query, fields, ())


def posted_form(body: bytes, query: str = "") -> Sent:
    """The same from a form body, as HTML forms and `curl -d` send it."""
    try:
        text = body.removeprefix(_BYTE_ORDER_MARK).decode().strip()
    except UnicodeDecodeError as error:
        raise UnusableReport(None, f"the heartbeat is not UTF-8: {error}") from error
    return _with_query(query, *_form(text))


def query(text: str) -> Sent:
    """The same from the query string of `GET /heartbeat?…`. Raises UnusableReport."""
    fields, repeated = _form(text)
    return _report(fields, live=True, skipped=repeated)


def _with_query(query: str, fields: dict[str, Any], skipped: Sequence[Ignored]) -> Sent:
    """Adds the query's fields. Fields of the body have precedence."""
    more, repeated = _form(query)
    return _report(more | fields, live=True, skipped=[*skipped, *repeated])


def _form(text: str) -> tuple[dict[str, Any], list[Ignored]]:
    try:
        return form(text)
    except ValueError as error:
        raise UnusableReport(None, f"the form or query is malformed: {error}") from error


def with_accepted_time(sent: Sent, span: AcceptedTimes) -> Sent:
    """The live report, without its own time if that is outside `span`: the sensor reports now, so
    the time of receipt is used, and `time` is ignored."""
    report, skipped = sent
    if report.time is None or span.earliest <= report.time <= span.latest:
        return sent
    reason = TIME_AHEAD if report.time > span.latest else TIME_TOO_OLD
    stamped_by_us = Report(report.mac, None, report.live, report.metrics)
    return Sent(stamped_by_us, [*skipped, *ignored(["time"], reason)])


def _check_time(report: Report, span: AcceptedTimes) -> None:
    """Raises UnusableReport if the report has a time of its own and it is outside `span`."""
    if report.time is None:
        return
    if report.time > span.latest:
        detail = "is in the future; check the sensor's clock"
        raise UnusableReport("time", detail, report.mac)
    if report.time < span.earliest:
        raise UnusableReport("time", "is older than the retention time", report.mac)


def array(body: bytes, span: AcceptedTimes, most: int) -> Batch:
    """The rows of a JSON array. Raises TooManyRows, and UnusableReport if it is not an array."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    read: Callable[[Any], Any] = _unchanged
    try:
        documents = _json.decode(body)
    except _UNREADABLE:
        documents, read = _rows(body), _document
    if not isinstance(documents, list):
        raise UnusableReport(
            None, "the body must be a JSON array of heartbeats; send one heartbeat to /heartbeat"
        )
    if len(documents) > most:
        raise TooManyRows(len(documents))
    return _batch(documents, read, span)


def _rows(body: bytes) -> list[bytes]:
    """The raw rows of an array that can't be decoded as a whole: the valid ones can be kept."""
    if not body:
        raise UnusableReport(None, "the body is empty")
    try:
        return [bytes(row) for row in _raw_rows.decode(_with_plain_numbers(body))]
    except _UNREADABLE as error:
        raise UnusableReport(None, f"the body is not JSON: {error}") from error


def lines(body: bytes, span: AcceptedTimes, most: int) -> Batch:
    """The rows of NDJSON, one object per line, without empty lines. Raises TooManyRows."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        documents = _json.decode_lines(body)
        read: Callable[[Any], Any] = _unchanged
    except _UNREADABLE:
        # Line by line: the invalid ones are reported, and the others kept.
        documents = [line for line in body.split(b"\n") if line and not line.isspace()]
        read = _document
    if len(documents) > most:
        raise TooManyRows(len(documents))
    return _batch(documents, read, span)


def _unchanged(document: Any) -> Any:
    return document


def _batch(documents: Iterable[Any], read: Callable[[Any], Any], span: AcceptedTimes) -> Batch:
    batch = Batch([], [], [], [])
    for number, document in enumerate(documents):
        try:
            report, skipped = _report(read(document), live=False)
            if report.time is not None:
                _check_time(report, span)
        except UnusableReport as error:
            batch.unusable.append(UnusableRow(number, error.field, error.detail, error.mac))
            continue
        batch.reports.append(report)
        batch.rows.append(number)
        if skipped:
            batch.ignored.extend((number, field) for field in skipped)
    return batch


def _document(body: bytes) -> Any:
    if not body:
        raise UnusableReport(None, "the body is empty")
    try:
        return _json.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except UnicodeDecodeError as error:
        raise UnusableReport(None, f"the heartbeat is not UTF-8: {error}") from error
    except _UNREADABLE as error:
        refusal = UnusableReport(None, f"the heartbeat is not JSON: {error}")
    # For a non-finite number only its field is ignored, not the whole heartbeat.
    try:
        return json.loads(_with_plain_numbers(body), parse_int=float)
    except (ValueError, RecursionError):
        raise refusal from None


def _with_plain_numbers(body: bytes) -> bytes:
    """Replaces NaN and infinity by a JSON number that is too large for a float."""
    return _NOT_FINITE.sub(b"1e999", body)


def _report(fields: Any, live: bool, skipped: Sequence[Ignored] = ()) -> Sent:
    """`live`: whether a report with a time of its own is still a live one, not history. Then an
    unreadable time is ignored; otherwise it raises UnusableReport. `skipped`: fields ignored
    already."""
    if type(fields) is not dict:
        raise UnusableReport(None, f"the heartbeat must be an object like {_EXAMPLE}")
    text = fields.get("mac_address")
    if type(text) is not str:
        missing = text is None
        raise UnusableReport("mac_address", "is missing" if missing else "must be a string")
    try:
        mac = parse_mac(text)
    except ValueError as error:
        raise UnusableReport("mac_address", str(error)) from error
    if len(fields) == 1:
        return Sent(Report(mac, None, True, None), skipped)
    kept, unusable = metrics(fields)
    stamp = fields.get("time")
    try:
        time = None if stamp is None else _time(stamp, mac)
    except UnusableReport:
        if not live:
            raise
        time, unusable = None, [*unusable, *ignored(["time"], UNREADABLE_TIME)]
    report = Report(mac, time, live or time is None, kept)
    return Sent(report, [*skipped, *unusable] if skipped else unusable)


def _time(value: object, mac: int) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnusableReport("time", "must be RFC 3339 text or Unix seconds", mac)
    try:
        if isinstance(value, str):
            return parse_time(value)
        return round(value if value > _MILLISECONDS_FROM else value * SECOND)
    except (ValueError, OverflowError) as error:
        detail = f"is not a time like 2026-11-23T03:42:00Z: {error}"
        raise UnusableReport("time", detail, mac) from error
