"""Silences and maintenance in the API."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.model import DAY, HOUR, format_time, parse_time
from monitor.state import tokens
from monitor.state.database import writing
from monitor.web.app import create_app
from tests.states import state, state_url
from tests.web.contexts import build_context

__all__ = ["state", "state_url"]

Header = dict[str, str]


@pytest.fixture
def client(state: Engine) -> FlaskClient:
    return create_app(build_context(state)).test_client()


def header(state: Engine, role: str) -> Header:
    with writing(state) as connection:
        secret = tokens.create(connection, f"the {role}", 1_000, role)
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def viewer(state: Engine) -> Header:
    return header(state, "viewer")


@pytest.fixture
def operator(state: Engine) -> Header:
    return header(state, "operator")


def answer(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.get_json()


HALL = {"matchers": [" site = Hall A | Hall B"], "comment": "new switch"}
PAINT = {
    "name": "paint",
    "matchers": ["site=Hall"],
    "zone": "Europe/Berlin",
    "start": "2026-03-28T22:00",
    "stop": "2026-03-29T06:00",
    "recurrence": "freq=daily",
}


def test_silence_is_started_listed_and_ended(
    client: FlaskClient, viewer: Header, operator: Header
) -> None:
    made = answer(
        client.post("/api/v1/silences", json=HALL | {"duration_seconds": 90}, headers=operator), 201
    )
    assert parse_time(made["ends_at"]) - parse_time(made["starts_at"]) == 90_000
    assert made["matchers"] == ["site=Hall A|Hall B"]
    assert (made["state"], made["created_by"]) == ("current", "the operator")
    url = f"/api/v1/silences/{made['id']}"
    assert answer(client.get(url, headers=viewer)) == made
    assert answer(client.get("/api/v1/silences", headers=viewer)) == {"silences": [made]}
    ended = answer(client.post(f"{url}/end", headers=operator))
    assert ended["state"] == "past"
    assert "has already ended" in answer(client.post(f"{url}/end", headers=operator), 409)["detail"]
    assert answer(client.get("/api/v1/silences", headers=viewer)) == {"silences": []}
    past = answer(client.get("/api/v1/silences?state=past", headers=viewer))
    assert past == {"silences": [ended]}


def test_silence_can_start_later(client: FlaskClient, operator: Header) -> None:
    now = Clock().now()
    times = {"starts_at": format_time(now + HOUR), "ends_at": format_time(now + DAY)}
    made = answer(client.post("/api/v1/silences", json=HALL | times, headers=operator), 201)
    assert made["state"] == "upcoming"
    assert {name: made[name] for name in times} == times
    for phase, found in (("upcoming", [made]), ("current", []), ("past", [])):
        listed = client.get(f"/api/v1/silences?state={phase}", headers=operator)
        assert answer(listed) == {"silences": found}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("matchers", {"matchers": []}),
        ("matchers", {"matchers": ["site"]}),
        ("matchers[0]", {"matchers": [7]}),
        ("comment", {"comment": " "}),
        ("ends_at", {"duration_seconds": None}),
        ("ends_at", {"ends_at": "2030-01-01T00:00:00Z"}),
        ("ends_at", {"ends_at": "tomorrow", "duration_seconds": None}),
        ("ends_at", {"ends_at": "2020-01-01T00:00:00Z", "duration_seconds": None}),
        ("starts_at", {"starts_at": "2026-11-23T03:42:00"}),
        ("starts_at", {"starts_at": "9999-12-31T23:59:59Z"}),
        ("duration_seconds", {"duration_seconds": -1}),
        ("duration_seconds", {"duration_seconds": 1e9}),
        ("until", {"until": "2030-01-01T00:00:00Z"}),
    ],
)
def test_invalid_silence_is_refused_and_the_field_named(
    client: FlaskClient, operator: Header, field: str, change: dict[str, Any]
) -> None:
    wanted = HALL | {"duration_seconds": 60} | change
    refused = answer(client.post("/api/v1/silences", json=wanted, headers=operator), 400)
    assert refused["field"] == field
    assert answer(client.get("/api/v1/silences", headers=operator)) == {"silences": []}


def test_start_in_the_past_is_replaced_by_now(client: FlaskClient, operator: Header) -> None:
    wanted = HALL | {
        "starts_at": "0001-01-01T00:00:00+14:00",
        "ends_at": format_time(Clock().now() + HOUR),
    }
    made = answer(client.post("/api/v1/silences", json=wanted, headers=operator), 201)
    assert made["starts_at"] == made["created_at"]


def test_maintenance_is_scheduled_listed_and_ended(
    client: FlaskClient, viewer: Header, operator: Header
) -> None:
    made = answer(client.post("/api/v1/maintenance", json=PAINT, headers=operator), 201)
    assert made["recurrence"] == "FREQ=DAILY"
    assert made["created_by"] == "the operator"
    assert len(made["windows"]) == 3
    assert all(parse_time(window["ends_at"]) > Clock().now() for window in made["windows"])
    url = f"/api/v1/maintenance/{made['id']}"
    assert answer(client.get(url, headers=viewer))["windows"] == made["windows"]
    listed = answer(client.get("/api/v1/maintenance", headers=viewer))["maintenance"]
    assert [each["id"] for each in listed] == [made["id"]]
    ended = answer(client.post(f"{url}/end", headers=operator))
    assert (ended["state"], ended["windows"]) == ("past", [])
    assert ended["ended_at"]
    assert "has already ended" in answer(client.post(f"{url}/end", headers=operator), 409)["detail"]
    assert answer(client.get("/api/v1/maintenance", headers=viewer)) == {"maintenance": []}
    past = answer(client.get("/api/v1/maintenance?state=past", headers=viewer))
    assert past == {"maintenance": [ended]}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 201}),
        ("matchers", {"matchers": []}),
        ("zone", {"zone": "Berlin"}),
        ("start", {"start": "22:00"}),
        ("stop", {"stop": "2026-03-28T21:00"}),
        ("stop", {"recurrence": None}),
        ("recurrence", {"recurrence": "FREQ=HOURLY"}),
        ("recurence", {"recurence": "FREQ=DAILY"}),
    ],
)
def test_invalid_maintenance_is_refused_and_the_field_named(
    client: FlaskClient, operator: Header, field: str, change: dict[str, Any]
) -> None:
    refused = answer(client.post("/api/v1/maintenance", json=PAINT | change, headers=operator), 400)
    assert refused["field"] == field


@pytest.mark.parametrize("things", ["silences", "maintenance"])
def test_only_operators_can_change_and_unknown_ids_return_404(
    client: FlaskClient, viewer: Header, operator: Header, things: str
) -> None:
    url = f"/api/v1/{things}"
    answer(client.get(url), 401)
    answer(client.post(url, json={}, headers=viewer), 403)
    answer(client.post(f"{url}/1/end", headers=viewer), 403)
    for number in (1, 2**63):
        answer(client.get(f"{url}/{number}", headers=viewer), 404)
        answer(client.post(f"{url}/{number}/end", headers=operator), 404)
