"""`/metrics`, read back by Prometheus's own parser."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, update

from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.counts import ServerCounts, new_counts
from monitor.ingest.fields import DETAILS, NOT_A_NUMBER
from monitor.model import MINUTE, SECOND
from monitor.outbox import served_channels
from monitor.refusal import INVALID, REASONS, UNAUTHORIZED
from monitor.state import health, horizon
from monitor.state.database import open_state, writing
from monitor.state.tables import incident, notification, service, source
from monitor.web import metrics
from monitor.web.app import create_app
from monitor.web.judging import Judging
from tests.cases import NOW, Cases
from tests.counting import recount
from tests.states import state, state_url
from tests.web.contexts import build_context

__all__ = ["state", "state_url"]

ValueOf = Callable[..., float | None]


class CountedCases(Cases):
    """Updates the counters after each row, as the migration does."""

    def incident(self, *given: Any, **values: Any) -> int:
        number = super().incident(*given, **values)
        recount(self.state)
        return number

    def message(self, *given: Any, **values: Any) -> int:
        number = super().message(*given, **values)
        recount(self.state)
        return number

    def suppress(self, *given: Any, **values: Any) -> None:
        super().suppress(*given, **values)
        recount(self.state)


class SettableClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.time = NOW + MINUTE

    def now(self) -> int:
        return self.time


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def cases(state: Engine) -> Cases:
    return CountedCases(state)


def client_of(
    engine: Engine, clock: SettableClock, directory: Path, counts: ServerCounts | None = None
) -> FlaskClient:
    judging = Judging(clock, MINUTE)
    shipper = directory / status.FILE
    registry = metrics.registry(engine, clock, shipper, judging, counts or new_counts())
    context = build_context(engine, clock, metrics=registry, local=True)
    return create_app(context).test_client()


@pytest.fixture
def client(state: Engine, clock: SettableClock, tmp_path: Path) -> FlaskClient:
    return client_of(state, clock, tmp_path)


@pytest.fixture
def value_of(client: FlaskClient, clock: SettableClock) -> ValueOf:
    """The current value of a sample; None if there is none."""

    def value(name: str, **labels: str) -> float | None:
        clock.time += 11 * SECOND
        found = samples(client)
        return found.get((f"heartbeat_monitor_{name}", tuple(sorted(labels.items()))))

    return value


def samples(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_both_formats_are_served_and_each_family_has_a_help_text(
    client: FlaskClient, cases: Cases
) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    cases.message(group, [number], [(NOW, "sent", None)], state="sent", finished_at=NOW)
    plain = client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    assert plain.headers["Cache-Control"] == "no-store"
    families = list(text_string_to_metric_families(plain.text))
    assert len(families) > 15
    for family in families:
        assert family.name.startswith("heartbeat_monitor_")
        assert family.documentation.endswith(".")
        assert family.type != "unknown"
    modern = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert modern.content_type.startswith("application/openmetrics-text")
    families = openmetrics(modern.text)  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {
        "heartbeat_monitor_incidents_opened",
        "heartbeat_monitor_silence_to_decision_seconds",
    }


def test_empty_service_has_metrics(value_of: ValueOf) -> None:
    assert value_of("state_up") == 1
    assert value_of("judging_behind") == 0
    assert value_of("incidents_opened_total", evidence="proven") == 0
    assert value_of("incidents", state="open") == 0
    assert value_of("outbox_oldest_due_age_seconds") == 0
    assert value_of("silence_to_decision_seconds_bucket", le="+Inf") == 0
    assert value_of("horizon_age_seconds") is None
    assert value_of("shipped_heartbeats_total") is None


def test_metrics_of_sensors_sources_horizon_and_blindness(
    state: Engine, cases: Cases, value_of: ValueOf, clock: SettableClock
) -> None:
    cases.sensor(1)
    cases.sensor(2, paused=True)
    cases.sensor(3, forgotten_at=NOW)
    with writing(state) as connection:
        connection.execute(update(service).values(horizon=NOW, swept_at=NOW))
        horizon.record_blind_windows(connection, [(NOW, NOW + 1_500)])
        horizon.record_sources(connection, {"a": (True, NOW, 0, False), "b": (False, NOW, 0, True)})
        assert connection.execute(source.select()).all()
    assert value_of("sensors", state="watched") == 1
    assert value_of("sensors", state="paused") == 1
    assert value_of("sources_open") == 1
    assert value_of("blind_seconds_total") == 1.5
    assert value_of("horizon_age_seconds") == (clock.time - NOW) / SECOND
    assert value_of("sweep_age_seconds") == (clock.time - NOW) / SECOND


def test_judging_is_behind_a_minute_after_the_last_sweep(
    state: Engine, value_of: ValueOf, clock: SettableClock
) -> None:
    with writing(state) as connection:
        connection.execute(update(service).values(horizon=clock.time, swept_at=clock.time))
    assert value_of("judging_behind") == 0
    clock.time += MINUTE
    assert value_of("judging_behind") == 1


def test_incidents_are_counted_by_evidence_end_and_state(cases: Cases, value_of: ValueOf) -> None:
    group = cases.group()
    cases.incident(1, group)
    cases.incident(2, group, proven=False)
    cases.incident(3, group, acknowledged_at=NOW)
    cases.incident(4, group, closed_at=NOW, closed_reason="recovered")
    assert value_of("incidents_opened_total", evidence="proven") == 3
    assert value_of("incidents_opened_total", evidence="presumed") == 1
    assert value_of("incidents_closed_total", reason="recovered") == 1
    assert value_of("incidents", state="open") == 2
    assert value_of("incidents", state="acknowledged") == 1


def test_messages_and_attempts_are_counted_by_channel(
    state: Engine, cases: Cases, value_of: ValueOf, clock: SettableClock
) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    tries = [(NOW, "retry", "451"), (NOW, "sent", None)]
    cases.message(group, [number], tries, state="sent", finished_at=NOW + 40 * SECOND)
    cases.message(group, kind="recovered", next_attempt_at=NOW)
    cases.message(group, channel="sms", state="cancelled", finished_at=NOW)
    cases.suppress(number, "silenced", channel="sms")
    served_channels.record(state, {"email": (), "sms": ()}, NOW)
    with writing(state) as connection:
        health.record_failure(connection, "email", "451 with a secret", NOW)
        health.record_success(connection, "sms", NOW)
    sent = {"channel": "email", "kind": "down", "state": "sent"}
    assert value_of("notifications_total", **sent) == 1
    assert value_of("notifications_total", channel="sms", kind="down", state="cancelled") == 1
    pending = {"channel": "email", "kind": "recovered", "state": "pending"}
    assert value_of("outbox_notifications", **pending) == 1
    assert value_of("outbox_oldest_due_age_seconds") == (clock.time - NOW) / SECOND
    assert value_of("delivery_attempts_total", channel="email", result="retry") == 1
    assert value_of("delivery_attempts_total", channel="email", result="sent") == 1
    assert value_of("suppressions_total", channel="sms", kind="down") == 1
    assert value_of("channel_failing", channel="email") == 1
    assert value_of("channel_failing", channel="sms") == 0


def test_latencies_are_counted_in_buckets(cases: Cases, value_of: ValueOf) -> None:
    """The deadline was a minute before NOW, when the incident opened; sent 40 s later."""
    group = cases.group()
    number = cases.incident(1, group)
    finished: dict[str, Any] = {"state": "sent", "finished_at": NOW + 40 * SECOND}
    cases.message(group, [number], **finished)
    decision = "silence_to_decision_seconds_bucket"
    assert [value_of(decision, le=le) for le in ("45.0", "60.0", "+Inf")] == [0, 1, 1]
    delivery = "decision_to_delivery_seconds"
    by_email = [
        value_of(f"{delivery}_bucket", channel="email", le=le) for le in ("30.0", "45.0", "+Inf")
    ]
    assert by_email == [0, 1, 1]
    assert value_of(f"{delivery}_count", channel="email") == 1
    assert value_of(f"{delivery}_sum", channel="email") == 40
    whole = "silence_to_delivery_seconds_bucket"
    assert [value_of(whole, channel="email", le=le) for le in ("90.0", "120.0")] == [0, 1]


def test_intended_delays_are_not_counted_as_latency(cases: Cases, value_of: ValueOf) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    cases.suppress(number, "silenced", channel="sms", until=NOW + MINUTE)
    finished: dict[str, Any] = {"state": "sent", "finished_at": NOW + 10 * MINUTE}
    cases.message(group, [number], channel="sms", **finished)
    cases.message(group, [number], channel="pager", delay=MINUTE, **finished)
    cases.message(group, [number], kind="reminder", **finished)
    for channel in ("sms", "pager", "email"):
        assert value_of("decision_to_delivery_seconds_count", channel=channel) is None


def test_counters_never_decrease(
    state: Engine, client: FlaskClient, cases: Cases, clock: SettableClock
) -> None:
    """While incidents get newer evidence, are acknowledged and closed, and messages are sent."""

    def totals() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        clock.time += 11 * SECOND
        return {
            key: value
            for key, value in samples(client).items()
            if key[0].endswith(("_total", "_bucket", "_count", "_sum"))
        }

    group = cases.group()
    number = cases.incident(1, group, opened_at=NOW + 5 * MINUTE)
    mine = notification.c.id == cases.message(group, created_at=NOW)
    cases.message(group, [number], state="sent", finished_at=NOW + 9 * MINUTE, channel="sms")
    before = totals()
    steps = [
        update(incident).values(last_seen=NOW),
        update(notification).where(mine).values(state="claimed", frozen_at=NOW),
        update(notification).where(mine).values(state="sent", finished_at=NOW + 9 * MINUTE),
        update(incident).values(last_seen=NOW + 8 * MINUTE),
        update(incident).values(acknowledged_at=NOW),
        update(incident).values(closed_at=NOW, closed_reason="recovered"),
    ]
    for step in steps:
        with writing(state) as connection:
            connection.execute(step)
        after = totals()
        decreased = [key for key, value in before.items() if after.get(key, -1) < value]
        assert decreased == []
        before = after


def test_metrics_are_cached_for_some_seconds(
    client: FlaskClient, cases: Cases, clock: SettableClock
) -> None:
    opened = ("heartbeat_monitor_incidents_opened_total", (("evidence", "proven"),))
    assert samples(client)[opened] == 0
    cases.incident(1, cases.group())
    assert samples(client)[opened] == 0
    clock.time += 10 * SECOND
    assert samples(client)[opened] == 1


def test_unavailable_state_leaves_the_other_metrics(clock: SettableClock, tmp_path: Path) -> None:
    shipper = status.IngestStatus(True, "", clock.time - SECOND, status.ShipperStats(shipped=7))
    status.write(tmp_path / status.FILE, shipper)
    client = client_of(open_state(f"sqlite:///{tmp_path}/never-migrated.db"), clock, tmp_path)
    found = samples(client)
    assert found["heartbeat_monitor_state_up", ()] == 0
    assert found["heartbeat_monitor_shipped_heartbeats_total", ()] == 7
    assert not any("incidents" in name for name, _ in found)


def test_metrics_of_the_shipper(value_of: ValueOf, clock: SettableClock, tmp_path: Path) -> None:
    stats = status.ShipperStats(
        shipped=9, dead_letters=2, damaged=1, backlog_bytes=4_096, watermark=NOW
    )
    status.write(tmp_path / status.FILE, status.IngestStatus(False, "secret place", NOW, stats))
    assert value_of("shipper_ready") == 0
    assert value_of("shipped_heartbeats_total") == 9
    assert value_of("dead_letters_total") == 2
    assert value_of("damaged_records_total") == 1
    assert value_of("backlog_bytes") == 4_096
    assert value_of("watermark_age_seconds") == (clock.time - NOW) / SECOND
    (tmp_path / status.FILE).write_text(json.dumps({"ready": "perhaps"}))
    assert value_of("shipper_ready") is None


def test_metrics_contain_channel_names_but_no_errors_sensors_or_secrets(
    state: Engine, client: FlaskClient, cases: Cases
) -> None:
    cases.sensor(1, name="the name", site="the site")
    group = cases.group()
    number = cases.incident(1, group, acknowledged_by="the person", acknowledged_at=NOW)
    nasty = 'quo"te\nline{}\\'
    cases.message(group, [number], [(NOW, "retry", "the secret")], channel=nasty)
    served_channels.record(state, {nasty: ()}, NOW)
    with writing(state) as connection:
        health.record_failure(connection, nasty, "the secret", NOW)
    text = client.get("/metrics").text
    for hidden in ("the name", "the site", "the person", "the secret", "00:00:00:00:00:01"):
        assert hidden not in text
    failing = ("heartbeat_monitor_channel_failing", (("channel", nasty),))
    assert samples(client)[failing] == 1


def test_ignored_fields_are_counted_by_reason_across_workers(
    state: Engine, clock: SettableClock, tmp_path: Path
) -> None:
    counts = new_counts()
    ignored = counts.ignored_fields
    worker = os.fork()
    if worker == 0:
        ignored.add([NOT_A_NUMBER, NOT_A_NUMBER])
        os._exit(0)
    assert os.waitpid(worker, 0)[1] == 0
    ignored.add([NOT_A_NUMBER])
    found = samples(client_of(state, clock, tmp_path, counts))
    name = "heartbeat_monitor_ignored_fields_total"
    by_reason = {labels[0][1]: value for (sample, labels), value in found.items() if sample == name}
    assert by_reason == dict.fromkeys(DETAILS, 0) | {NOT_A_NUMBER: 3}


def test_refused_heartbeats_are_counted_by_reason(
    state: Engine, clock: SettableClock, tmp_path: Path
) -> None:
    counts = new_counts()
    counts.refused_heartbeats.add([UNAUTHORIZED, UNAUTHORIZED, INVALID])
    found = samples(client_of(state, clock, tmp_path, counts))
    name = "heartbeat_monitor_refused_heartbeats_total"
    by_reason = {labels[0][1]: value for (sample, labels), value in found.items() if sample == name}
    assert by_reason == dict.fromkeys(REASONS, 0) | {UNAUTHORIZED: 2, INVALID: 1}
