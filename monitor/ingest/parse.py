"""Bytes and query strings become reports; whatever is wrong with them is named by its field."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from monitor.model import SECOND, parse_mac, parse_time

MOST_METRICS = 16
"""How many metrics one heartbeat may carry."""

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
_OURS = frozenset({"mac_address", "time"})
_RESERVED = frozenset({"mac", "received"})
_MILLISECONDS_FROM = 1e11
"""A number above this is a time in milliseconds, below it in seconds (until the year 5138)."""

_json = msgspec.json.Decoder()
_number = msgspec.json.Decoder(float)


class Report(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a sensor said, before it is stamped; also the row of a spool record."""

    mac: int
    time: int | None
    """The sensor's own stamp; None: the moment it is received."""
    live: bool
    """The sensor itself is speaking now; otherwise this is history."""
    metrics: dict[str, float] | None


class Span(NamedTuple):
    """The times that a sensor may claim, in ms, both ends included."""

    earliest: int
    latest: int


class Unusable(ValueError):
    """A report that can't be used; `field` is None when all of it is at fault."""

    def __init__(self, field: str | None, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


class TooManyRows(Exception):
    """A batch of more rows than are taken at once."""


class UnusableRow(NamedTuple):
    """One row of a batch (counted from 0) that can't be used."""

    row: int
    field: str | None
    detail: str


class Batch(NamedTuple):
    """The usable and the unusable rows of one request; `rows[i]` is the row number of a report."""

    reports: list[Report]
    rows: list[int]
    unusable: list[UnusableRow]


def single(body: bytes) -> Report:
    """The report of `POST /heartbeat`; its time is to be checked. Raises Unusable."""
    return _report(_document(body), live=True)


def query(text: str) -> Report:
    """The same from `GET /heartbeat?…`, where numbers are text. Raises Unusable."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_METRICS + 2)
    except ValueError as error:
        raise Unusable(None, f"the query can't be read: {error}") from error
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise Unusable(name[:40], "is given twice")
        fields[name] = value if name == "mac_address" else _number_or_text(value)
    return _report(fields, live=True)


def check_time(report: Report, span: Span) -> None:
    """Raises Unusable when the sensor's own stamp, if there is one, lies outside of `span`."""
    if report.time is None:
        return
    if report.time > span.latest:
        raise Unusable("time", "lies in the future; is the sensor's clock right?")
    if report.time < span.earliest:
        raise Unusable("time", "is older than anything that is kept")


def array(body: bytes, span: Span, most: int) -> Batch:
    """The rows of a JSON array. Raises Unusable when it is none, TooManyRows."""
    documents = _document(body)
    if not isinstance(documents, list):
        raise Unusable(None, "must be a JSON array of heartbeats; a single one goes to /heartbeat")
    if len(documents) > most:
        raise TooManyRows(len(documents))
    return _batch(documents, _as_it_is, span)


def lines(body: bytes, span: Span, most: int) -> Batch:
    """The rows of NDJSON, one object a line; empty lines don't count. Raises TooManyRows."""
    try:
        documents = _json.decode_lines(body)
        read: Callable[[Any], Any] = _as_it_is
    except (msgspec.DecodeError, RecursionError):
        # Line by line, so that the bad ones can be named and the others kept.
        documents = [line for line in body.split(b"\n") if line and not line.isspace()]
        read = _document
    if len(documents) > most:
        raise TooManyRows(len(documents))
    return _batch(documents, read, span)


def _as_it_is(document: Any) -> Any:
    return document


def _batch(documents: Iterable[Any], read: Callable[[Any], Any], span: Span) -> Batch:
    batch = Batch([], [], [])
    for number, document in enumerate(documents):
        try:
            report = _report(read(document), live=False)
            check_time(report, span)
        except Unusable as error:
            batch.unusable.append(UnusableRow(number, error.field, error.detail))
        else:
            batch.reports.append(report)
            batch.rows.append(number)
    return batch


def _document(body: bytes) -> Any:
    if not body:
        raise Unusable(None, "the body is empty")
    try:
        return _json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(None, f"is not JSON: {error}") from error


def _number_or_text(text: str) -> float | str:
    try:
        return _number.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def _report(fields: Any, live: bool) -> Report:
    """`live`: a report that carries its own time is nevertheless the sensor speaking now."""
    if type(fields) is not dict:
        raise Unusable(None, 'must be an object like {"mac_address": "02:00:00:00:00:00"}')
    text = fields.get("mac_address")
    if type(text) is not str:
        missing = text is None
        raise Unusable("mac_address", "is missing" if missing else "must be a string")
    try:
        mac = parse_mac(text)
    except ValueError as error:
        raise Unusable("mac_address", str(error)) from error
    if len(fields) == 1:
        return Report(mac, None, True, None)
    stamp = fields.get("time")
    time = None if stamp is None else _time(stamp)
    return Report(mac, time, live or time is None, _metrics(fields))


def _time(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable("time", "must be RFC 3339 text or Unix seconds")
    try:
        if isinstance(value, str):
            return parse_time(value)
        return round(value if value > _MILLISECONDS_FROM else value * SECOND)
    except (ValueError, OverflowError) as error:
        raise Unusable("time", f"is not a time like 2026-11-23T03:42:00Z: {error}") from error


@lru_cache(1_000)
def _may_name_a_metric(name: str) -> bool:
    return bool(_METRIC.fullmatch(name)) and name not in _RESERVED


def _metrics(fields: Mapping[str, Any]) -> dict[str, float] | None:
    metrics: dict[str, float] = {}
    for name, value in fields.items():
        if name in _OURS:
            continue
        kind = type(value)
        if kind is not float and kind is not int:
            raise Unusable(
                name[:40],
                "is not known; anything beside mac_address and time is a "
                "metric and must be a number",
            )
        if not _may_name_a_metric(name):
            raise Unusable(
                name[:40],
                "can't name a metric: a letter, then up to 31 letters, "
                "digits or _; not mac or received",
            )
        try:
            metrics[name] = float(value)
        except OverflowError:  # an integer of hundreds of digits
            metrics[name] = math.inf
        if not math.isfinite(metrics[name]):
            raise Unusable(name, "must be a finite number")
    if len(metrics) > MOST_METRICS:
        raise Unusable(None, f"has {len(metrics)} metrics; at most {MOST_METRICS} are taken")
    return metrics or None
