"""/api/v1/sparklines, and the history, heartbeats and uptime below /api/v1/sensors/<mac>."""

from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response
from msgspec import Meta

from monitor.analysis.evidence import UnknownSensor
from monitor.analysis.gaps import Gap
from monitor.analysis.history import Chart, UptimeSpan
from monitor.model import DAY, HOUR, SECOND, Heartbeat, format_mac, format_time, parse_mac
from monitor.outbox.wording import percent
from monitor.staleness.blindness import BlindWindow
from monitor.store.interface import Bucket
from monitor.web import errors
from monitor.web.api import body
from monitor.web.api.shapes import case_shape
from monitor.web.api.silences import moment
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.errors import RequestRefused

MOST_SPARKLINES = 200
MOST_METRICS = 4
_LONGEST = 366 * DAY


class SparklineQuery(msgspec.Struct, forbid_unknown_fields=True):
    """MAC addresses in any notation, separated by commas."""

    macs: str
    hours: Annotated[int, Meta(ge=1, le=31 * 24)] = 24


class SpanQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Times are RFC 3339. `to` is now by default, `from` a day earlier."""

    since: str | None = msgspec.field(name="from", default=None)
    until: str | None = msgspec.field(name="to", default=None)
    points: Annotated[int, Meta(ge=1, le=2_000)] = 300
    metrics: str = ""
    """Names, separated by commas."""


class PageQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which heartbeats, the newest first. `before` is RFC 3339."""

    before: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


blueprint = Blueprint("api_history", __name__, url_prefix="/api/v1")


@blueprint.errorhandler(UnknownSensor)
def unknown(_error: UnknownSensor) -> Response:
    return errors.problem(404, "this sensor has never reported here, or was removed")


@blueprint.get("/sparklines")
@requires("viewer")
def sparklines() -> Response:
    query = body.query(SparklineQuery)
    macs = [_mac(text, 400) for text in query.macs.split(",") if text]
    if len(macs) > MOST_SPARKLINES:
        raise RequestRefused(400, f"at most {MOST_SPARKLINES} sensors per request", "macs")
    found = context().history.sparklines(dict.fromkeys(macs), query.hours * HOUR)
    return body.reply(
        {
            "start": format_time(found.start),
            "every_seconds": found.every / SECOND,
            "beats": {format_mac(mac): counts for mac, counts in found.beats.items()},
        }
    )


@blueprint.get("/sensors/<mac>/uptime")
@requires("viewer")
def uptime(mac: str) -> Response:
    number = _mac(mac, 404)
    spans = [_span_shape(span) for span in context().history.uptimes(number)]
    return body.reply({"mac_address": format_mac(number), "spans": spans})


@blueprint.get("/sensors/<mac>/history")
@requires("viewer")
def chart(mac: str) -> Response:
    number, query = _mac(mac, 404), body.query(SpanQuery)
    until = context().clock.now() if query.until is None else moment("to", query.until)
    since = until - DAY if query.since is None else moment("from", query.since)
    if not 0 < until - since <= _LONGEST:
        raise RequestRefused(400, "must be earlier than `to`, by at most a year", "from")
    names = [name for name in query.metrics.split(",") if name]
    if len(names) > MOST_METRICS:
        raise RequestRefused(400, f"at most {MOST_METRICS} metrics per request", "metrics")
    try:
        found = context().history.chart(number, since, until, query.points, names)
    except ValueError as error:
        raise RequestRefused(400, str(error), "metrics") from error
    return body.reply(
        {
            "mac_address": format_mac(number),
            **_chart_shape(found),
            "available_metrics": context().history.metrics(number),
        }
    )


@blueprint.get("/sensors/<mac>/heartbeats")
@requires("viewer")
def heartbeats(mac: str) -> Response:
    number, query = _mac(mac, 404), body.query(PageQuery)
    before = None if query.before is None else moment("before", query.before)
    found = context().history.heartbeats(number, before, query.limit)
    return body.reply(
        {
            "mac_address": format_mac(number),
            "heartbeats": [beat_shape(beat) for beat in found],
            "next_before": format_time(found[-1].time) if len(found) == query.limit else None,
        }
    )


def beat_shape(beat: Heartbeat) -> dict[str, Any]:
    """A heartbeat as JSON."""
    return {
        "time": format_time(beat.time),
        "received": format_time(beat.received),
        "live": beat.live,
        "metrics": beat.metrics or {},
    }


def _span_shape(span: UptimeSpan) -> dict[str, Any]:
    kinds = span.uptime._asdict()
    return {
        "days": span.days,
        "from": format_time(span.start),
        "to": format_time(span.stop),
        "percent": percent(span.uptime.share),
        **{f"{kind}_seconds": length / SECOND for kind, length in kinds.items()},
    }


def _chart_shape(chart: Chart) -> dict[str, Any]:
    return {
        "from": format_time(chart.start),
        "to": format_time(chart.stop),
        "start": format_time(chart.start - chart.start % chart.every),
        "every_seconds": chart.every / SECOND,
        "beats": [bucket.beats for bucket in chart.buckets],
        "metrics": {name: _figures(buckets) for name, buckets in chart.metrics.items()},
        "silences": [_silence_shape(silence, chart) for silence in chart.silences],
        "incidents": [case_shape(case) for case in chart.cases],
        "blind": _windows(chart.blind),
        "maintenance": _windows(chart.maintenance),
        "paused": _windows(chart.paused),
    }


def _figures(buckets: list[Bucket]) -> dict[str, list[float | None]]:
    return {
        "min": [bucket.minimum for bucket in buckets],
        "mean": [bucket.mean for bucket in buckets],
        "max": [bucket.maximum for bucket in buckets],
    }


def _silence_shape(silence: Gap, chart: Chart) -> dict[str, Any]:
    """A silence of the sensor, with the incident that opened during it, if any."""
    opened = (
        case.id
        for case in chart.cases
        if case.opened_at > silence.start and case.last_seen < silence.stop
    )
    return {
        "from": format_time(silence.start),
        "to": format_time(silence.stop),
        "over": silence.over,
        "duration_seconds": (silence.stop - silence.start) / SECOND,
        "verdict": silence.verdict,
        "incident": next(opened, None),
    }


def _windows(windows: list[BlindWindow]) -> list[dict[str, str]]:
    return [{"from": format_time(each.start), "to": format_time(each.stop)} for each in windows]


def _mac(text: str, status: int) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise RequestRefused(status, str(error), "macs" if status == 400 else None) from error
