"""The door: answers /heartbeat and /heartbeats itself, hands every other path on.

It carries nearly every request there is, so it is a bare WSGI callable; measured, a view of a
framework costs about as much as all of the work done here.
"""

import math
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from werkzeug.sansio.utils import host_is_trusted

from monitor.clock import Clock
from monitor.ingest import parse
from monitor.ingest.body import read_body
from monitor.ingest.parse import Batch, Report, Span, TooManyRows, Unusable, UnusableRow
from monitor.ingest.problem import CONTENT_TYPE, Problem
from monitor.ingest.registry import MOST_METRIC_NAMES, Registry
from monitor.ingest.spool import Spool, SpoolUnavailable
from monitor.model import MINUTE, SECOND, format_mac, format_time

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_AHEAD = MINUTE
"""How far ahead of ours a sensor's clock may be."""
_RATE_WINDOW = 10.0
"""Seconds."""
_LISTED = 100
"""How many rejected rows of a batch the reply names."""
_RETRY_AFTER = "5"

_JSON = "application/json"
_LINES = "application/x-ndjson"
_EXAMPLE = (
    "curl -X POST -H 'Content-Type: application/json' "
    """-d '{"mac_address": "02:00:00:00:00:00"}' http://HOST/heartbeat"""
)
_CEILING = "this server takes no more new sensors (ingest.max_sensors)"
_SURPLUS_METRIC = f"the fleet already uses {MOST_METRIC_NAMES} names of metrics"
_SAME_SITE = ("none", "same-origin")


class Limits(NamedTuple):
    """What the door accepts. `retention` in ms, `body` in bytes, decompressed ones too."""

    retention: int
    body: int
    batch_rows: int
    rate_per_sensor: float
    """Heartbeats a second, on average over ten seconds, in one worker."""


class Door:
    """A WSGI application. Made in each worker, after the fork."""

    def __init__(
        self,
        spool: Spool,
        registry: Registry,
        limits: Limits,
        clock: Clock,
        hosts: Iterable[str],
        fallback: Application,
    ) -> None:
        """`hosts`: names it answers to, as Flask's TRUSTED_HOSTS; none: to any."""
        self._spool, self._registry, self._limits, self._clock = spool, registry, limits, clock
        self._hosts = tuple(hosts)
        self._fallback = fallback
        self._most_in_window = round(limits.rate_per_sensor * _RATE_WINDOW)
        self._counts: dict[int, int] = {}
        self._window_ends = 0.0
        self._second = (0, "")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333."""
        path = environ["PATH_INFO"]
        try:
            if path == "/heartbeat":
                body = self._single(environ)
            elif path == "/heartbeats":
                body = self._batch(environ)
            else:
                return self._fallback(environ, start_response)
        except Problem as problem:
            body = problem.body()
            start_response(
                f"{problem.status.value} {problem.status.phrase}",
                [
                    ("Content-Type", CONTENT_TYPE),
                    ("Content-Length", str(len(body))),
                    ("Cache-Control", "no-store"),
                    *problem.headers.items(),
                ],
            )
            return [body]
        headers = [("Content-Type", _JSON), ("Content-Length", str(len(body)))]
        if environ["REQUEST_METHOD"] == "GET":
            headers.append(("Cache-Control", "no-store"))
        start_response("200 OK", headers)
        return [body]

    def _single(self, environ: Environ) -> bytes:
        method = environ["REQUEST_METHOD"]
        try:
            if method == "POST":
                self._check_caller(environ)
                if environ.get("CONTENT_TYPE") != _JSON:
                    _check_type(environ, (_JSON,))
                report = parse.single(read_body(environ, self._limits.body))
            elif method == "GET":
                _check_query(environ)
                self._check_caller(environ)
                report = parse.query(environ["QUERY_STRING"])
            else:
                raise _not_allowed("GET, POST")
            if report.time is not None:
                parse.check_time(report, self._span())
        except Unusable as error:
            raise Problem(HTTPStatus.BAD_REQUEST, error.detail, error.field) from error
        self._check_report(report)
        self._count(report.mac)
        return self._reply(report, self._keep([report]))

    def _span(self) -> Span:
        now = self._clock.now()
        return Span(now - self._limits.retention, now + _AHEAD)

    def _reply(self, report: Report, received: int) -> bytes:
        mac, server_time = report.mac, self._server_time(received)
        if report.time is None:
            time, skew = server_time, ""
        else:
            time = format_time(report.time)
            skew = f',"skew_seconds":{(report.time - received) / SECOND}'
        return (
            f'{{"mac_address":"{format_mac(mac)}","time":"{time}","server_time":"{server_time}"'
            f',"threshold_seconds":{self._registry.threshold(mac)}{skew}}}'
        ).encode()

    def _server_time(self, moment: int) -> str:
        """As `format_time`, at the cost of once a second."""
        second, rest = divmod(moment, SECOND)
        known, text = self._second
        if known != second:
            text = format_time(second * SECOND)[:-4]
            self._second = second, text
        return f"{text}{rest:03d}Z"

    def _batch(self, environ: Environ) -> bytes:
        if environ["REQUEST_METHOD"] != "POST":
            raise _not_allowed("POST")
        self._check_caller(environ)
        kind = _check_type(environ, (_JSON, _LINES))
        body = read_body(environ, self._limits.body)
        read = parse.array if kind == _JSON else parse.lines
        try:
            batch = read(body, self._span(), self._limits.batch_rows)
        except Unusable as error:
            raise Problem(HTTPStatus.BAD_REQUEST, error.detail, error.field) from error
        except TooManyRows as error:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{error.args[0]} rows; at most {self._limits.batch_rows} are taken at once",
            ) from error
        kept, rejected = self._admitted(batch)
        listed = [
            {"row": row.row, "field": row.field, "detail": row.detail} for row in rejected[:_LISTED]
        ]
        if not kept:
            detail = "no row can be used" if rejected else "there is no row"
            raise Problem(HTTPStatus.BAD_REQUEST, detail, rejected=listed)
        received = self._keep(kept)
        return msgspec.json.encode(
            {
                "accepted": len(kept),
                "rejected": listed,
                "rejected_count": len(rejected),
                "received": format_time(received),
            }
        )

    def _keep(self, reports: list[Report]) -> int:
        try:
            return self._spool.append(reports)
        except SpoolUnavailable as error:
            raise _unavailable(f"can't be written down at the moment: {error}") from error

    def _check_caller(self, environ: Environ) -> None:
        """The host the request was meant for, and the token. Raises Problem."""
        host = environ.get("HTTP_HOST", "")
        if self._hosts and host not in self._hosts and not host_is_trusted(host, self._hosts):
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name", "Host")
        if self._registry.admits_bearer(environ.get("HTTP_AUTHORIZATION", "")):
            return
        if self._registry.token_required is None:
            self._spool.refuse()
            raise _unavailable("tokens can't be checked yet: the state was never in reach")
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "needs a header Authorization: Bearer TOKEN, with a token made by `monitor token "
            "create NAME`",
            "Authorization",
            {"WWW-Authenticate": 'Bearer realm="heartbeat-monitor"'},
        )

    def _check_report(self, report: Report) -> None:
        """The ceilings of sensors and of metric names. Raises Problem."""
        if not self._registry.admit(report.mac):
            raise Problem(HTTPStatus.FORBIDDEN, _CEILING, "mac_address")
        if report.metrics:
            surplus = self._registry.surplus_metric(report.metrics)
            if surplus is not None:
                raise Problem(HTTPStatus.BAD_REQUEST, _SURPLUS_METRIC, surplus)

    def _admitted(self, batch: Batch) -> tuple[list[Report], list[UnusableRow]]:
        kept: list[Report] = []
        rejected = batch.unusable
        for report, row in zip(batch.reports, batch.rows, strict=True):
            try:
                self._check_report(report)
            except Problem as problem:
                rejected.append(UnusableRow(row, problem.field, problem.detail))
            else:
                kept.append(report)
        return kept, sorted(rejected)

    def _count(self, mac: int) -> None:
        """Refuse a sensor that reports far too often. Raises Problem."""
        now = monotonic()
        if now > self._window_ends:
            self._counts, self._window_ends = {}, now + _RATE_WINDOW
        count = self._counts[mac] = self._counts.get(mac, 0) + 1
        if count > self._most_in_window:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._limits.rate_per_sensor:g} heartbeats a second",
                "mac_address",
                {"Retry-After": str(math.ceil(self._window_ends - now))},
            )


def _check_query(environ: Environ) -> None:
    """A GET changes something here, so no page of another site may cause it. Raises Problem."""
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in _SAME_SITE:
        raise Problem(HTTPStatus.FORBIDDEN, "can't be sent by a page of another site")
    for name in ("token", "access_token", "authorization"):
        if f"&{name}=" in "&" + environ["QUERY_STRING"].lower():
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "a token in an address ends up in logs; send the header Authorization: "
                "Bearer TOKEN",
                name,
            )


def _check_type(environ: Environ, known: tuple[str, ...]) -> str:
    kind: str = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind not in known:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be {' or '.join(known)}: {_EXAMPLE}",
            "Content-Type",
            {"Accept": ", ".join(known)},
        )
    return kind


def _not_allowed(methods: str) -> Problem:
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED, f"takes {methods} only", headers={"Allow": methods}
    )


def _unavailable(detail: str) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": _RETRY_AFTER})
