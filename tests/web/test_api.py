"""Access to the API, and its responses to invalid requests."""

from typing import Annotated, Any

import msgspec
import pytest
from flask import Blueprint, Flask, Response, g
from flask.testing import FlaskClient
from msgspec import Meta
from sqlalchemy import Engine

from monitor.state import tokens
from monitor.state.database import open_state, writing
from monitor.web.api import body
from monitor.web.app import create_app
from monitor.web.auth.access import public, requires
from tests.states import state, state_url
from tests.web.contexts import build_context

__all__ = ["state", "state_url"]


class Payload(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=10)]
    minutes: int = 5
    macs: list[int] = []


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    before: body.Id | None = None
    site: str | None = None
    open: bool = False


def some_api() -> Blueprint:
    api = Blueprint("some", __name__, url_prefix="/api/v1/some")

    @api.get("")
    @requires("viewer")
    def view() -> Response:
        return body.reply(body.query(Parameters))

    @api.post("")
    @requires("operator")
    def change() -> Response:
        payload = body.read(Payload)
        return body.reply({"name": payload.name, "by": g.principal}, 201)

    @api.get("/<int:number>")
    @public
    def one(number: int) -> Response:
        return body.reply(number)

    return api


def app_over(engine: Engine) -> Flask:
    app = create_app(build_context(engine))
    app.register_blueprint(some_api())
    return app


@pytest.fixture
def client(state: Engine) -> FlaskClient:
    return app_over(state).test_client()


def token(state: Engine, role: str) -> dict[str, str]:
    """The header with a new token of this role."""
    with writing(state) as connection:
        return {"Authorization": f"Bearer {tokens.create(connection, f'a {role}', 1_000, role)}"}


def refused(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem: dict[str, Any] = response.get_json(force=True)
    assert problem["status"] == status
    return problem


def test_each_role_includes_the_permissions_of_lower_roles(
    state: Engine, client: FlaskClient
) -> None:
    viewer, operator = token(state, "viewer"), token(state, "operator")
    payload = {"name": "quiet"}
    assert client.get("/api/v1/some", headers=viewer).status_code == 200
    problem = refused(client.post("/api/v1/some", json=payload, headers=viewer), 403)
    assert (
        "'a viewer' has the role viewer, but this requires the role operator" in problem["detail"]
    )
    assert client.get("/api/v1/some", headers=operator).status_code == 200
    done = client.post("/api/v1/some", json=payload, headers=operator)
    assert done.status_code == 201
    assert done.get_json() == {"name": "quiet", "by": "a operator"}
    assert done.headers["Cache-Control"] == "no-store"
    administrator = token(state, "administrator")
    assert client.post("/api/v1/some", json=payload, headers=administrator).status_code == 201


def test_ingest_token_is_refused(state: Engine, client: FlaskClient) -> None:
    refused(client.get("/api/v1/some", headers=token(state, "ingest")), 403)


def test_missing_or_invalid_token_returns_401_with_instructions(
    state: Engine, client: FlaskClient
) -> None:
    response = client.post("/api/v1/some", json={"name": "quiet"})
    problem = refused(response, 401)
    assert problem["field"] == "Authorization"
    assert "`monitor token create NAME --role operator`" in problem["detail"]
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="heartbeat-monitor"'
    for header in ("Bearer", "Bearer ", "Bearer hbm_nonsense", "Bearer \u00e9", "Basic aGI6aGI="):
        refused(client.get("/api/v1/some", headers={"Authorization": header}), 401)
    night = token(state, "operator")
    with writing(state) as connection:
        tokens.revoke(connection, "a operator", 2_000)
    response = client.get("/api/v1/some", headers=night)
    assert "not valid" in refused(response, 401)["detail"]
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_token_in_the_query_or_a_cookie_is_ignored(state: Engine, client: FlaskClient) -> None:
    secret = token(state, "operator")["Authorization"].removeprefix("Bearer ")
    client.set_cookie("Authorization", f"Bearer {secret}")
    for name in ("token", "access_token", "Authorization"):
        refused(client.get("/api/v1/some", query_string={name: secret}), 401)


def test_unavailable_state_returns_503(tmp_path: Any) -> None:
    client = app_over(open_state(f"sqlite:///{tmp_path}/never-migrated.db")).test_client()
    response = client.get("/api/v1/some", headers={"Authorization": "Bearer hbm_x"})
    refused(response, 503)
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({}, "name", "missing required"),
        ({"name": 5}, "name", "Expected `str`, got `int`"),
        ({"name": "much too long a name"}, "name", "length <= 10"),
        ({"name": "x", "minutes": "5"}, "minutes", "Expected `int`"),
        ({"name": "x", "macs": [1, "2"]}, "macs[1]", "Expected `int`"),
        ({"name": "x", "nmae": "y"}, "nmae", "unknown field"),
        ([], None, "Expected `object`"),
        ({"name": "a\0b"}, None, "U+0000"),
    ],
)
def test_invalid_body_is_refused_and_the_field_named(
    state: Engine, client: FlaskClient, sent: Any, field: str | None, words: str
) -> None:
    problem = refused(client.post("/api/v1/some", json=sent, headers=token(state, "operator")), 400)
    assert problem.get("field") == field
    assert words in problem["detail"]


def test_body_that_is_not_json_is_refused(state: Engine, client: FlaskClient) -> None:
    operator = token(state, "operator")

    def sent(data: bytes, kind: str) -> Any:
        return client.post("/api/v1/some", data=data, content_type=kind, headers=operator)

    problem = refused(sent(b'{"name": "x"}', "text/plain"), 415)
    assert problem["field"] == "Content-Type"
    refused(sent(b"name=x", "application/x-www-form-urlencoded"), 415)
    for data in (b"", b"{", b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"[" * 100_000):
        refused(sent(data, "application/json"), 400)
    deep = b'{"name": "x", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    refused(sent(deep, "application/json"), 400)
    assert sent(b'{"name": "x"}', "application/json; charset=utf-8").status_code == 201
    refused(sent(b'{"name": "' + b"x" * 1_100_000 + b'"}', "application/json"), 413)


def test_query_is_validated_like_a_body(state: Engine, client: FlaskClient) -> None:
    viewer = token(state, "viewer")
    good = client.get("/api/v1/some?before=17&site=Harbour&open=true", headers=viewer)
    assert good.get_json() == {"before": 17, "site": "Harbour", "open": True}
    for query, field in (
        ("before=x", "before"),
        ("before=0", "before"),
        (f"before={2**63}", "before"),
        ("open=perhaps", "open"),
        ("stie=Harbour", "stie"),
        ("site=a&site=b", "site"),
        ("site=a%00", "site"),
    ):
        problem = refused(client.get(f"/api/v1/some?{query}", headers=viewer), 400)
        assert problem["field"] == field, query


def test_api_errors_are_problem_json_even_for_browsers(client: FlaskClient) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    refused(client.get("/api/v1/nowhere", headers=browser), 404)
    refused(client.get(f"/api/v1/some/{2**63}", headers=browser), 404)
    refused(client.delete("/api/v1/some", headers=browser), 405)
    refused(client.get("/api/v1/some", headers=browser), 401)
    assert client.get(f"/api/v1/some/{2**63 - 1}", headers=browser).status_code == 200
