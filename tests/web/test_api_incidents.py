"""Incidents and their ledger in the API."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from monitor.model import MINUTE
from monitor.state import tokens
from monitor.state.database import reading, writing
from monitor.state.tables import incident
from monitor.web.app import create_app
from tests.cases import NOW, Cases
from tests.states import state, state_url
from tests.web.contexts import build_context

__all__ = ["state", "state_url"]

Header = dict[str, str]


@pytest.fixture
def cases(state: Engine) -> Cases:
    return Cases(state)


@pytest.fixture
def client(state: Engine) -> FlaskClient:
    return create_app(build_context(state)).test_client()


def header(state: Engine, role: str) -> Header:
    with writing(state) as connection:
        secret = tokens.create(connection, f"the {role}", NOW, role)
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def viewer(state: Engine) -> Header:
    return header(state, "viewer")


@pytest.fixture
def operator(state: Engine) -> Header:
    return header(state, "operator")


def problem(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    return str(response.get_json(force=True)["detail"])


def test_incidents_are_listed_newest_first_and_paged(
    client: FlaskClient, cases: Cases, viewer: Header
) -> None:
    cases.sensor(0x02_00_00_00_00_0A, name="<script>alert(1)</script>", site="Harbour")
    group = cases.group()
    closed = cases.incident(
        0x02_00_00_00_00_0A,
        group,
        closed_at=NOW + MINUTE,
        closed_reason="recovered",
        recovered_at=NOW + MINUTE,
    )
    acknowledged = cases.incident(
        0x02_00_00_00_00_0A, group, acknowledged_at=NOW, acknowledged_by="night"
    )
    stray = cases.incident(2, group)

    def numbers(**query: Any) -> list[int]:
        answer = client.get("/api/v1/incidents", query_string=query, headers=viewer)
        assert answer.status_code == 200, answer.text
        return [entry["id"] for entry in answer.get_json()["incidents"]]

    assert numbers() == [stray, acknowledged, closed]
    assert numbers(state="open") == [stray, acknowledged]
    assert numbers(state="closed") == [closed]
    assert numbers(site="Harbour") == [acknowledged, closed]
    assert numbers(mac="02-00-00-00-00-0a", state="open") == [acknowledged]
    page = client.get("/api/v1/incidents?limit=2", headers=viewer).get_json()
    assert numbers(before=page["next_before"]) == [closed]
    last = client.get("/api/v1/incidents", headers=viewer).get_json()
    assert last["next_before"] is None
    assert last["incidents"][2] == {
        "id": closed,
        "mac_address": "02:00:00:00:00:0a",
        "name": "<script>alert(1)</script>",
        "site": "Harbour",
        "state": "closed",
        "last_seen": "2026-11-23T00:51:00.000Z",
        "threshold_seconds": 600.0,
        "proven": True,
        "opened_at": "2026-11-23T01:02:00.000Z",
        "flapping_since": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "closed_at": "2026-11-23T01:03:00.000Z",
        "closed_reason": "recovered",
        "recovered_at": "2026-11-23T01:03:00.000Z",
    }
    assert last["incidents"][1]["state"] == "acknowledged"


@pytest.mark.parametrize(
    "query", ["mac=nonsense", "state=ajar", "limit=0", "limit=1001", "before=-1", "colour=red"]
)
def test_invalid_parameter_is_refused_and_named(
    client: FlaskClient, viewer: Header, query: str
) -> None:
    response = client.get(f"/api/v1/incidents?{query}", headers=viewer)
    assert problem(response, 400)
    assert response.get_json(force=True)["field"] == query.partition("=")[0]


def test_incident_includes_its_ledger(client: FlaskClient, cases: Cases, viewer: Header) -> None:
    group = cases.group()
    number = cases.incident(1, group)
    cases.message(group, [number], [(NOW, "sent", None)], state="sent", finished_at=NOW)
    cases.suppress(number, "silenced: works", channel="sms", until=NOW + MINUTE)
    body = client.get(f"/api/v1/incidents/{number}", headers=viewer).get_json()
    assert body["incident"]["id"] == number
    lines = {(entry["channel"], entry["event"]) for entry in body["ledger"]}
    assert lines == {(None, "opened"), ("email", "written"), ("email", "sent"), ("sms", "held")}
    held = next(entry for entry in body["ledger"] if entry["event"] == "held")
    assert held == {
        "time": "2026-11-23T01:02:00.000Z",
        "channel": "sms",
        "recipient": None,
        "kind": "down",
        "event": "held",
        "text": "the alert was held until 2026-11-23 01:03:00 UTC: silenced: works",
        "until": "2026-11-23T01:03:00.000Z",
    }
    assert problem(client.get("/api/v1/incidents/999", headers=viewer), 404)


def test_ledger_is_filtered_by_sensor_and_time(
    client: FlaskClient, cases: Cases, viewer: Header
) -> None:
    group = cases.group()
    old = cases.incident(1, group, closed_at=NOW + MINUTE, closed_reason="recovered")
    new = cases.incident(1, group, opened_at=NOW + 5 * MINUTE)
    other = cases.incident(2, group)

    def numbers(**query: Any) -> list[int]:
        answer = client.get("/api/v1/ledger", query_string=query, headers=viewer)
        assert answer.status_code == 200, answer.text
        return [entry["incident"]["id"] for entry in answer.get_json()["incidents"]]

    assert numbers() == [other, new, old]
    assert numbers(mac="0000.0000.0001") == [new, old]
    assert numbers(since="2026-11-23T01:04:00Z") == [other, new]
    assert numbers(limit=1) == [other]
    for since in ("yesterday", "2026-11-23T01:04:00"):
        response = client.get("/api/v1/ledger", query_string={"since": since}, headers=viewer)
        assert "2026-11-23T03:42:00Z" in problem(response, 400)


def test_acknowledging_again_changes_nothing(
    state: Engine, client: FlaskClient, cases: Cases, operator: Header
) -> None:
    number = cases.incident(1, cases.group())
    path = f"/api/v1/incidents/{number}/acknowledge"
    first = client.post(path, headers=operator).get_json()
    assert (first["state"], first["acknowledged_by"]) == ("acknowledged", "the operator")
    assert client.post(path, headers=operator).get_json() == first
    with reading(state) as connection:
        assert connection.execute(select(incident.c.acknowledged_by)).scalar() == "the operator"


def test_closed_incident_cannot_be_acknowledged(
    client: FlaskClient, cases: Cases, operator: Header
) -> None:
    closed = cases.incident(1, cases.group(), closed_at=NOW, closed_reason="recovered")
    response = client.post(f"/api/v1/incidents/{closed}/acknowledge", headers=operator)
    assert problem(response, 409) == f"incident {closed} is closed"
    assert problem(client.post("/api/v1/incidents/999/acknowledge", headers=operator), 404)


def test_many_incidents_are_acknowledged_at_once(
    client: FlaskClient, cases: Cases, operator: Header
) -> None:
    group = cases.group()
    fresh = [cases.incident(mac, group) for mac in (1, 2)]
    closed = cases.incident(3, group, closed_at=NOW, closed_reason="recovered")
    answer = client.post(
        "/api/v1/incidents/acknowledge", json={"ids": [*fresh, closed, 999]}, headers=operator
    )
    assert answer.get_json() == {
        "acknowledged": fresh,
        "acknowledged_before": [],
        "closed": [closed],
        "unknown": [999],
    }
    for ids in ([], ["1"], [0], [2**63], list(range(1, 1_002))):
        response = client.post("/api/v1/incidents/acknowledge", json={"ids": ids}, headers=operator)
        assert problem(response, 400), ids


def test_viewer_cannot_acknowledge_and_reading_requires_a_token(
    state: Engine, client: FlaskClient, cases: Cases, viewer: Header
) -> None:
    number = cases.incident(1, cases.group())
    for path in (f"/api/v1/incidents/{number}/acknowledge", "/api/v1/incidents/acknowledge"):
        assert problem(client.post(path, json={"ids": [number]}, headers=viewer), 403)
        assert problem(client.post(path, json={"ids": [number]}), 401)
    for path in ("/api/v1/incidents", f"/api/v1/incidents/{number}", "/api/v1/ledger"):
        assert problem(client.get(path), 401)
        assert client.get(path, headers=viewer).status_code == 200
    with reading(state) as connection:
        assert connection.execute(select(incident.c.acknowledged_at)).scalar() is None
