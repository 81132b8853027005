"""Calls of the API, with a token for each role."""

from collections.abc import Mapping
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from monitor.clock import Clock
from monitor.state import tokens
from monitor.state.database import writing
from monitor.web.app import create_app
from tests.web.contexts import build_context


class Api:
    """Calls with the token of one role."""

    def __init__(self, client: FlaskClient, secret: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {secret}"}

    def call(self, method: str, path: str, body: Any = None) -> TestResponse:
        """`path` below /api/v1; `body` goes as JSON."""
        given = {} if body is None else {"json": body}
        answer = self._client.open(f"/api/v1{path}", method=method, headers=self._headers, **given)
        if answer.status_code != 204:
            assert answer.cache_control.no_store
        return answer

    def refused(self, status: int, method: str, path: str, body: Any = None) -> tuple[Any, str]:
        """Assert that the call is refused; the field at fault and the reason."""
        answer = self.call(method, path, body)
        assert answer.status_code == status, answer.text
        assert answer.content_type == "application/problem+json"
        problem: Mapping[str, Any] = answer.get_json(force=True)
        return problem.get("field"), problem["detail"]


def apis(
    state: Engine,
    clock: Clock | None = None,
    **options: Any,
) -> dict[str, Api]:
    """An `Api` by role, all of one application; `options`: of `build_context`."""
    app = create_app(build_context(state, clock, **options))
    with writing(state) as connection:
        made = {role: tokens.create(connection, role, 0, role) for role in tokens.ROLES}
    return {role: Api(app.test_client(), secret) for role, secret in made.items()}
