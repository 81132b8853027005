"""The ingest app: answers /heartbeat and /heartbeats on the server's event loop.

It handles nearly all requests, so it uses no framework: by measurement, a framework's view costs
about as much time as all of the work done here.
"""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple

import msgspec

from monitor.clock import SENSOR_TOLERANCE, Clock
from monitor.ingest import caller, parse
from monitor.ingest.body import read_body
from monitor.ingest.counts import SharedCounts
from monitor.ingest.fields import DETAILS, NO_ROOM, Ignored, ignored
from monitor.ingest.group_commit import GroupCommit, not_stored, unavailable
from monitor.ingest.parse import (
    AcceptedTimes,
    Batch,
    Report,
    Sent,
    TooManyRows,
    UnusableReport,
    UnusableRow,
)
from monitor.ingest.problem import Problem
from monitor.ingest.refused import ReadingTime, RefusedHeartbeats
from monitor.ingest.registry import Registry
from monitor.ingest.wal.writer import WalUnavailable, WalWriter
from monitor.model import SECOND, format_mac, format_time
from monitor.refusal import INVALID, SENSOR_LIMIT, UNAVAILABLE
from monitor.server.hosts import TrustedHosts
from monitor.server.messages import Request, Response, Send, log_failure

SINGLE, BATCH = "/heartbeat", "/heartbeats"
PATHS = (SINGLE, SINGLE + "/", BATCH, BATCH + "/")
"""The paths that the app answers."""

_RATE_WINDOW = 10.0
"""Seconds."""
_LISTED = 100
"""The maximum number of rejected rows, and of ignored fields, in a reply."""
_HEAVY = 16 * 1024
"""Bodies above this size (bytes), and compressed ones, are handled on a thread."""
_THREADS = 2

_READING, _WRITING = ("GET", "HEAD"), ("POST", "PUT")
_JSON = "application/json"
_ACCEPTED = (("Content-Type", _JSON),)
_NOT_CACHED = (*_ACCEPTED, ("Cache-Control", "no-store"))
_LINES = ("application/x-ndjson", "application/jsonl")
_FORMS = ("", "application/x-www-form-urlencoded")
"""Content types of forms; "" is a missing Content-Type. Any text/ type may be a form, too."""
_EXAMPLE = """curl -d '{"mac_address": "02:00:00:00:00:00"}' http://HOST/heartbeat"""
_SENSOR_LIMIT = "is new, but the limit of sensors is reached (ingest.max_sensors)"


class IngestLimits(NamedTuple):
    """What the app accepts. `retention` in ms; `body` in bytes, before and after decompression."""

    retention: int
    body: int
    batch_rows: int
    rate_per_sensor: float
    """Heartbeats per second, averaged over ten seconds, in one worker."""


class IngestApp:
    """A `server.messages.Handler`. Created in each worker, after the fork."""

    def __init__(
        self,
        wal: WalWriter,
        commit: GroupCommit,
        registry: Registry,
        limits: IngestLimits,
        clock: Clock,
        hosts: Iterable[str],
        ignored_fields: SharedCounts,
        refused: RefusedHeartbeats,
    ) -> None:
        """`hosts`: accepted Host headers, see `TrustedHosts`. `ignored_fields`: counters, named
        by the reasons in `fields.DETAILS`."""
        self.body_limit = limits.body
        self._wal, self._commit, self._registry = wal, commit, registry
        self._limits, self._clock = limits, clock
        self._hosts = TrustedHosts(hosts)
        self._ignored_fields = ignored_fields
        self._refused, self._reading_time = refused, ReadingTime()
        self._most_in_window = round(limits.rate_per_sensor * _RATE_WINDOW)
        self._counts: dict[int, int] = {}
        self._window_ends = 0.0
        self._second = (0, "")
        self._threads = ThreadPoolExecutor(_THREADS, "heavy")

    def handle(self, request: Request, send: Send) -> None:
        """Answers a request for one of `PATHS`. A heavy one does not delay light ones."""
        if request.body and (len(request.body) > _HEAVY or "content-encoding" in request.headers):
            self._threads.submit(self._answer_heavy, request, send)
        else:
            response, appended = self._answer(request)
            if appended:
                self._commit.send(send, response)
            else:
                send(response)

    def _answer_heavy(self, request: Request, send: Send) -> None:
        response, appended = self._answer(request)
        self._commit.send_from_thread(send, response, appended)

    def refused(self) -> None:
        """The server refused a heartbeat that may be valid."""
        self._wal.refuse()
        self._refused.add(UNAVAILABLE, 1, None)

    def close(self) -> None:
        """Waits for requests on threads."""
        self._threads.shutdown()

    def _answer(self, request: Request) -> tuple[Response, bool]:
        """The response, and whether something was appended to the WAL."""
        method = request.method
        try:
            if request.path.startswith(BATCH):
                body = self._batch(request, method)
            else:
                body = self._single(request, method)
        except Problem as problem:
            return self._refuse(request, problem), False
        except Exception as error:  # noqa: BLE001 any error, so that the sensor gets a response
            log_failure(error)
            failed = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed")
            return self._refuse(request, failed), False
        headers = _NOT_CACHED if method in _READING else _ACCEPTED
        return Response(200, headers, body), True

    def _refuse(self, request: Request, problem: Problem) -> Response:
        """Counts the heartbeats of a refused request, and finds their sensors."""
        if problem.reason:
            senders = self._reading_time.read(lambda: self._senders(request))
            self._refused.add(problem.reason, len(senders or ()) or 1, senders)
        return problem.response()

    def _senders(self, request: Request) -> Sequence[int]:
        """The sensor of each heartbeat in a request, as far as they can be read."""
        try:
            if request.path.startswith(BATCH):
                return [report.mac for report in self._read_batch(request).reports]
            return [self._sent(request, request.method).report.mac]
        except UnusableReport as error:
            return () if error.mac is None else (error.mac,)
        except Exception:  # noqa: BLE001 the request is refused whatever it contains
            return ()

    def _single(self, request: Request, method: str) -> bytes:
        try:
            if method not in _READING + _WRITING:
                raise _not_allowed(_READING + _WRITING)
            self._check_caller(request)
            sent = self._sent(request, method)
        except UnusableReport as error:
            raise Problem(HTTPStatus.BAD_REQUEST, error.detail, error.field) from error
        if sent.report.time is not None:
            sent = parse.with_accepted_time(sent, self._span())
        report, skipped = sent
        self._check_sensor_limit(report)
        self._check_rate(report.mac)
        if report.metrics:
            report, surplus = self._with_known_metrics(report)
            if surplus:
                skipped = [*skipped, *surplus]
        received = self._append([report])
        if skipped:
            self._ignored_fields.add(reason for _, reason in skipped)
        return self._reply(report, received, skipped)

    def _sent(self, request: Request, method: str) -> Sent:
        return self._posted(request) if method in _WRITING else parse.query(request.query)

    def _posted(self, request: Request) -> Sent:
        """Parses a request body. Many clients send no Content-Type or a wrong one, so the body is
        checked first."""
        body, query = read_body(request, self._limits.body), request.query
        if not body and query:
            return parse.query(query)
        kind = request.headers.get("content-type", "")
        if kind == _JSON or _starts_with(body, b"{["):
            return parse.single(body, query)
        kind = _media_type(kind)
        if kind.endswith("json"):
            return parse.single(body, query)
        if kind in _FORMS or kind.startswith("text/"):
            return parse.posted_form(body, query)
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {kind[:40]!r} is not supported; send JSON or form fields: {_EXAMPLE}",
            "Content-Type",
            {"Accept": f"{_JSON}, {_FORMS[1]}"},
        )

    def _span(self) -> AcceptedTimes:
        now = self._clock.now()
        return AcceptedTimes(now - self._limits.retention, now + SENSOR_TOLERANCE)

    def _reply(self, report: Report, received: int, skipped: Sequence[Ignored]) -> bytes:
        mac, server_time = report.mac, self._server_time(received)
        if report.time is None:
            time, more = server_time, ""
        else:
            time = format_time(report.time)
            more = f',"skew_seconds":{(report.time - received) / SECOND}'
        if skipped:
            named = [{"field": name, "detail": DETAILS[reason]} for name, reason in skipped]
            more += f',"ignored":{msgspec.json.encode(named[:_LISTED]).decode()}'
        return (
            f'{{"mac_address":"{format_mac(mac)}","time":"{time}","server_time":"{server_time}"'
            f',"threshold_seconds":{self._registry.threshold(mac)}{more}}}'
        ).encode()

    def _server_time(self, moment: int) -> str:
        """As `format_time`, but the text of each second is cached."""
        second, rest = divmod(moment, SECOND)
        known, text = self._second
        if known != second:
            text = format_time(second * SECOND)[:-4]
            self._second = second, text
        return f"{text}{rest:03d}Z"

    def _read_batch(self, request: Request) -> Batch:
        body = read_body(request, self._limits.body)
        lines = _media_type(request.headers.get("content-type", "")) in _LINES or _starts_with(
            body, b"{"
        )
        read = parse.lines if lines else parse.array
        return read(body, self._span(), self._limits.batch_rows)

    def _batch(self, request: Request, method: str) -> bytes:
        if method not in _WRITING:
            raise _not_allowed(_WRITING)
        self._check_caller(request)
        try:
            batch = self._read_batch(request)
        except UnusableReport as error:
            raise Problem(HTTPStatus.BAD_REQUEST, error.detail, error.field) from error
        except TooManyRows as error:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has {error.args[0]} rows; at most {self._limits.batch_rows} are "
                "allowed in one request",
            ) from error
        kept, rejected, skipped = self._admitted(batch)
        listed = [
            {"row": row.row, "field": row.field, "detail": row.detail} for row in rejected[:_LISTED]
        ]
        if not kept:
            detail = "all rows were rejected" if rejected else "the request has no rows"
            counted = "" if rejected else None
            raise Problem(HTTPStatus.BAD_REQUEST, detail, rejected=listed, reason=counted)
        received = self._append(kept)
        self._ignored_fields.add(reason for _, (_, reason) in skipped)
        return msgspec.json.encode(
            {
                "accepted": len(kept),
                "rejected": listed,
                "rejected_count": len(rejected),
                "ignored": [
                    {"row": row, "field": name, "detail": DETAILS[reason]}
                    for row, (name, reason) in skipped[:_LISTED]
                ],
                "ignored_count": len(skipped),
                "received": format_time(received),
            }
        )

    def _append(self, reports: list[Report]) -> int:
        try:
            return self._wal.append(reports)
        except WalUnavailable as error:
            raise not_stored(error) from error

    def _check_caller(self, request: Request) -> None:
        """Checks the request's site, host and token. Raises Problem."""
        caller.check_site(request.headers)
        caller.check_host(request.headers, self._hosts)
        if request.query:
            caller.check_query(request.query)
        if self._registry.admits_bearer(request.headers.get("authorization", "")):
            return
        if self._registry.token_required is None:
            self._wal.refuse()
            raise unavailable(
                "tokens can't be checked yet, because the state database can't be read"
            )
        raise caller.unauthorized()

    def _check_sensor_limit(self, report: Report) -> None:
        """Raises Problem for a new sensor above the limit."""
        if not self._registry.admit(report.mac):
            raise Problem(HTTPStatus.FORBIDDEN, _SENSOR_LIMIT, "mac_address", reason=SENSOR_LIMIT)

    def _with_known_metrics(self, report: Report) -> tuple[Report, Sequence[Ignored]]:
        """The report without surplus metrics, and the surplus metrics as ignored fields."""
        surplus = self._registry.surplus_metrics(report.mac, report.metrics or ())
        if not surplus:
            return report, ()
        return report.without(surplus), ignored(surplus, NO_ROOM)

    def _admitted(
        self, batch: Batch
    ) -> tuple[list[Report], list[UnusableRow], list[tuple[int, Ignored]]]:
        """The accepted reports, the rejected rows, and the ignored fields with their rows."""
        rejected, skipped = batch.unusable, batch.ignored
        if not rejected and not skipped and self._registry.knows(batch.reports):
            return batch.reports, rejected, skipped
        self._count_rejected(INVALID, rejected)
        kept: list[Report] = []
        above_limit: list[UnusableRow] = []
        for sent, row in zip(batch.reports, batch.rows, strict=True):
            try:
                self._check_sensor_limit(sent)
            except Problem as problem:
                above_limit.append(UnusableRow(row, problem.field, problem.detail, sent.mac))
                continue
            report = sent
            if sent.metrics:
                report, surplus = self._with_known_metrics(sent)
                skipped.extend((row, field) for field in surplus)
            kept.append(report)
        self._count_rejected(SENSOR_LIMIT, above_limit)
        rejected = [*rejected, *above_limit]
        # Ignored fields are not reported for rejected rows.
        refused = {row.row for row in rejected}
        skipped = sorted(pair for pair in skipped if pair[0] not in refused)
        return kept, sorted(rejected), skipped

    def _count_rejected(self, reason: str, rows: Sequence[UnusableRow]) -> None:
        if rows:
            known = [row.mac for row in rows if row.mac is not None]
            self._refused.add(reason, len(rows), known)

    def _check_rate(self, mac: int) -> None:
        """Counts a heartbeat. Raises Problem for a sensor that reports too often."""
        now = monotonic()
        if now > self._window_ends:
            self._counts, self._window_ends = {}, now + _RATE_WINDOW
        count = self._counts[mac] = self._counts.get(mac, 0) + 1
        if count > self._most_in_window:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"sends more than {self._limits.rate_per_sensor:g} heartbeats per second",
                "mac_address",
                {"Retry-After": str(math.ceil(self._window_ends - now))},
            )


def _media_type(content_type: str) -> str:
    """The media type without parameters."""
    return content_type.partition(";")[0].strip().lower()


def _starts_with(body: bytes, characters: bytes) -> bool:
    """Whether the first character after white space and byte order mark is one of these."""
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return bool(start) and start in characters


def _not_allowed(methods: Sequence[str]) -> Problem:
    allowed = ", ".join(sorted(methods))
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED, f"allowed methods: {allowed}", headers={"Allow": allowed}
    )
