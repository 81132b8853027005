"""`/metrics` for Prometheus: figures of the whole service, the same from each worker of each host,
and figures of this host's shipper."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec
from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from monitor.analysis import figures
from monitor.analysis.figures import Figures, Latency
from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.ingest import status
from monitor.ingest.counts import ServerCounts, SharedCounts
from monitor.model import SECOND
from monitor.state.database import reading
from monitor.state.tally import BOUNDS
from monitor.web.auth.access import public_on_loopback
from monitor.web.context import context
from monitor.web.judging import Judging

_PREFIX = "heartbeat_monitor_"
_FRESH = 10 * SECOND
"""How long figures are reused (ms), because counting the sensors takes a while."""

Values = Mapping[tuple[str, ...], float]


class _Read(NamedTuple):
    at: int
    figures: Figures | None


class _ServiceCollector(Collector):
    """Figures from the state, the shipper's status file and the counts of the ingest app."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        shipper: Path,
        judging: Judging,
        counts: ServerCounts,
    ) -> None:
        self._engine, self._clock, self._shipper = engine, clock, shipper
        self._judging, self._counts = judging, counts
        self._lock = threading.Lock()
        self._last = _Read(0, None)

    def describe(self) -> Iterator[Metric]:
        """Yields nothing, because registration must not read the state."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Figures of the state are left out while it can't be read: old ones would look current."""
        found, now = self._figures(), self._clock.now()
        yield InfoMetricFamily(
            _PREFIX + "build", "The running version.", {"version": version("heartbeat-monitor")}
        )
        yield _gauge(
            "state_up", "1 if the state database can be read, 0 if not.", int(found is not None)
        )
        if found is not None:
            behind = self._judging(found.progress) is not None
            yield _gauge(
                "judging_behind",
                "1 if monitoring is behind, so that silent sensors may be missed; 0 if not.",
                int(behind),
            )
            yield from _judging(found, now)
            yield from _incidents(found)
            yield from _messages(found, now)
            yield from _latencies(found)
        yield from _shipping(self._shipper, now)
        yield _counter(
            "ignored_fields",
            "Fields of heartbeats that this host ignored, by reason.",
            _by_reason(self._counts.ignored_fields),
            ["reason"],
        )
        yield _counter(
            "refused_heartbeats",
            "Heartbeats that this host refused, by reason. A request that can't be read counts as "
            "one.",
            _by_reason(self._counts.refused_heartbeats),
            ["reason"],
        )

    def _figures(self) -> Figures | None:
        with self._lock:
            if self._last.figures is None or not (0 <= self._clock.now() - self._last.at < _FRESH):
                self._last = _Read(self._clock.now(), self._read())
            return self._last.figures

    def _read(self) -> Figures | None:
        try:
            with reading(self._engine) as connection:
                return figures.read(connection)
        except StateUnavailable:
            return None


blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@public_on_loopback
def metrics() -> Response:
    """The metrics, in the format that the scraper prefers."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encode(context().metrics), content_type=content_type)
    response.cache_control.no_store = True
    return response


def registry(
    engine: Engine,
    clock: Clock,
    shipper_status: Path,
    judging: Judging,
    counts: ServerCounts,
) -> CollectorRegistry:
    """The registry of a worker process, for `Context.metrics`."""
    made = CollectorRegistry(auto_describe=False)
    made.register(_ServiceCollector(engine, clock, shipper_status, judging, counts))
    return made


def _judging(found: Figures, now: int) -> Iterator[Metric]:
    horizon, swept_at = found.progress.horizon, found.progress.swept_at
    if horizon:
        yield _gauge(
            "horizon_age_seconds",
            "Time since the horizon, the moment up to which sensors are judged.",
            _age(horizon, now),
        )
    if swept_at:
        yield _gauge("sweep_age_seconds", "Time since the last sweep.", _age(swept_at, now))
    yield _counter(
        "blind_seconds",
        "Time in which monitoring was blind: not every source received and stored heartbeats.",
        {(): found.blind / SECOND},
    )
    yield _gauge(
        "sources_open", "Sources (data directories) that monitoring waits for.", found.open_sources
    )
    yield _gauges(
        "sensors",
        "Registered sensors. Paused sensors are not monitored.",
        ["state"],
        {("watched",): found.sensors[False], ("paused",): found.sensors[True]},
    )


def _incidents(found: Figures) -> Iterator[Metric]:
    yield _counter(
        "incidents_opened",
        "Incidents by evidence: proven, or presumed down because monitoring was blind.",
        {("proven",): found.opened[True], ("presumed",): found.opened[False]},
        ["evidence"],
    )
    yield _counter("incidents_closed", "Closed incidents by reason.", found.closed, ["reason"])
    yield _gauges(
        "incidents",
        "Open incidents.",
        ["state"],
        {("open",): found.open[False], ("acknowledged",): found.open[True]},
    )


def _messages(found: Figures, now: int) -> Iterator[Metric]:
    by_channel = ["channel", "kind"]
    yield _counter(
        "notifications",
        "Messages by result: sent, failed or cancelled.",
        found.finished,
        [*by_channel, "state"],
    )
    yield _gauges(
        "outbox_notifications", "Pending messages.", [*by_channel, "state"], found.unfinished
    )
    yield _gauge(
        "outbox_oldest_due_age_seconds",
        "How long the oldest due message has been waiting; 0 if none is due.",
        0 if found.due_since is None else _age(found.due_since, now),
    )
    yield _counter(
        "delivery_attempts",
        "Attempts to send a message by result: sent, retry, or failed (no more attempts).",
        found.attempts,
        ["channel", "result"],
    )
    yield _counter(
        "suppressions",
        "Incidents whose message to a channel was held or not sent; the ledger shows why.",
        found.suppressions,
        by_channel,
    )
    yield _gauges(
        "channel_failing",
        "1 if the last message to the channel failed, 0 if not.",
        ["channel"],
        {(name,): int(fails) for name, fails in found.failing.items()},
    )


def _latencies(found: Figures) -> Iterator[Metric]:
    # Newer evidence of an open incident shortens these two afterwards. Their buckets then only
    # grow, but their sum would fall: it is left out.
    yield _histogram(
        "silence_to_decision_seconds",
        "Time from the end of a sensor's threshold until its incident opened.",
        {(): found.decided},
        [],
        with_sum=False,
    )
    yield _histogram(
        "silence_to_delivery_seconds",
        "Time from the end of a sensor's threshold until the channel accepted the message about "
        "it. Held and escalated messages are left out.",
        found.end_to_end,
        ["channel"],
        with_sum=False,
    )
    yield _histogram(
        "decision_to_delivery_seconds",
        "Time from an incident until the channel accepted the message about it, including the wait "
        "for other incidents of the group. Held and escalated messages are left out.",
        found.delivered,
        ["channel"],
        with_sum=True,
    )


def _shipping(path: Path, now: int) -> Iterator[Metric]:
    try:
        found = status.read(path)
    except (OSError, msgspec.DecodeError):
        return
    stats = found.stats
    yield _gauge("shipper_ready", "1 if this host's shipper works, 0 if not.", int(found.ready))
    yield _gauge(
        "shipper_status_age_seconds",
        "Time since this host's shipper last reported.",
        _age(found.at, now),
    )
    yield _counter("shipped_heartbeats", "Heartbeats stored from this host.", {(): stats.shipped})
    yield _counter(
        "dead_letters", "Heartbeats of this host that the store refused.", {(): stats.dead_letters}
    )
    yield _counter(
        "damaged_records", "Unreadable records in this host's write-ahead log.", {(): stats.damaged}
    )
    yield _gauge("backlog_bytes", "Bytes in this host's write-ahead log.", stats.backlog_bytes)
    if stats.watermark:
        yield _gauge(
            "watermark_age_seconds",
            "Time since the watermark: all that this host received before it is stored.",
            _age(stats.watermark, now),
        )


def _by_reason(counts: SharedCounts) -> Values:
    return {(reason,): count for reason, count in counts.totals().items()}


def _age(moment: int, now: int) -> float:
    return max(now - moment, 0) / SECOND


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value)


def _gauges(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, values: Values, labels: Sequence[str] = ()) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str,
    text: str,
    latencies: Mapping[tuple[str, ...], Latency],
    labels: Sequence[str],
    *,
    with_sum: bool,
) -> Metric:
    family = HistogramMetricFamily(_PREFIX + name, text, labels=labels)
    for key, latency in sorted(latencies.items()):
        buckets: list[tuple[str, float]] = [
            (str(bound / SECOND), within)
            for bound, within in zip(BOUNDS, latency.within, strict=True)
        ]
        buckets.append(("+Inf", latency.number))
        family.add_metric(key, buckets, latency.total / SECOND if with_sum else None)
    return family
