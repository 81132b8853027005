"""Fields of a heartbeat other than address and time: metrics, and which are ignored and why.

Neither an invalid metric nor an invalid time makes a live heartbeat invalid: the sensor reports, so
it is up.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf, isfinite
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

MOST_METRICS = 16
"""The maximum number of metrics in one heartbeat."""

MOST_METRIC_NAMES = 64
"""The maximum number of metric names in use by the fleet."""

_NOT_METRICS = frozenset({"mac_address", "time"})

NOT_A_NUMBER = "not_a_number"
NOT_FINITE = "not_finite"
UNUSABLE_NAME = "unusable_name"
GIVEN_TWICE = "given_twice"
TOO_MANY = "too_many_metrics"
NO_ROOM = "too_many_names"
UNREADABLE_TIME = "unreadable_time"
TIME_AHEAD = "time_in_the_future"
TIME_TOO_OLD = "time_too_old"

DETAILS = {
    NOT_A_NUMBER: "is not a number",
    NOT_FINITE: "is not a finite number",
    UNUSABLE_NAME: (
        "is not a valid metric name: use a letter, then up to 31 letters, "
        "digits or _; the names mac and received are reserved"
    ),
    GIVEN_TWICE: "is given twice; the first value is used",
    TOO_MANY: f"exceeds the limit of {MOST_METRICS} metrics per heartbeat",
    NO_ROOM: (
        f"is a new metric name above the limit: one sensor can add {MOST_METRICS} names, and "
        f"the fleet can use {MOST_METRIC_NAMES}"
    ),
    UNREADABLE_TIME: (
        "is not RFC 3339 text with an offset, Unix seconds or Unix milliseconds; "
        "the time of receipt is used"
    ),
    TIME_AHEAD: "is in the future; the time of receipt is used; check the sensor's clock",
    TIME_TOO_OLD: (
        "is older than the retention time; the time of receipt is used; check the sensor's clock"
    ),
}
"""Reason why a field is ignored -> description. The reasons are label values in /metrics."""

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
_RESERVED = frozenset({"mac", "received"})
_LONGEST_NAME = 40
_MOST_FIELDS = 1_000

_scalar: msgspec.json.Decoder[float | bool | None] = msgspec.json.Decoder(float | bool | None)


class Ignored(NamedTuple):
    """An ignored field; `reason` is a key of DETAILS."""

    field: str
    reason: str


def ignored(names: Iterable[str], reason: str) -> list[Ignored]:
    """These fields, ignored for one reason. Names are shortened, and valid UTF-8 for a reply."""
    return [Ignored(_printable(name), reason) for name in names]


def _printable(name: str) -> str:
    return name[:_LONGEST_NAME].encode(errors="replace").decode()


def form(text: str) -> tuple[dict[str, Any], list[Ignored]]:
    """The fields of a query string or a form. Numbers and booleans are parsed.

    If a field is given twice, the first value is used. Raises ValueError for too many fields.
    """
    fields: dict[str, Any] = {}
    repeated = []
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS):
        if name in fields:
            repeated.append(name)
        else:
            fields[name] = value if name == "mac_address" else _number_or_text(value)
    return fields, ignored(repeated, GIVEN_TWICE)


def _number_or_text(text: str) -> float | str | None:
    try:
        return _scalar.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def metrics(fields: Mapping[str, Any]) -> tuple[dict[str, float] | None, Sequence[Ignored]]:
    """The metrics among these fields, and the ignored fields. Booleans become 0 and 1; null means
    that the field is absent."""
    kept: dict[str, float] = {}
    left_out: list[Ignored] = []
    for name, value in fields.items():
        if name in _NOT_METRICS or value is None:
            continue
        kind = type(value)
        if kind is not float:
            if kind is not int and kind is not bool:
                left_out += ignored([name], NOT_A_NUMBER)
                continue
            value = _float(value)
        if not _is_metric_name(name):
            left_out += ignored([name], UNUSABLE_NAME)
        elif len(kept) >= MOST_METRICS:
            left_out += ignored([name], TOO_MANY)
        elif not isfinite(value):
            left_out += ignored([name], NOT_FINITE)
        else:
            kept[name] = value
    return kept or None, left_out


@lru_cache(1_000)
def _is_metric_name(name: str) -> bool:
    return bool(_METRIC.fullmatch(name)) and name not in _RESERVED


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return inf
