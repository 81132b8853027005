"""Clients that send requests as browsers do."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, Response, g
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from monitor.clock import Clock
from monitor.services import passwords
from monitor.state import users
from monitor.state.database import writing
from monitor.web.app import create_app
from monitor.web.auth.access import requires
from tests.web.contexts import BASE, build_context

PASSWORD = "correct horse battery"
BROWSER = {"Accept": "text/html,*/*;q=0.8"}

_HASHED = passwords.hashed(PASSWORD)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def add_user(state: Engine, name: str, role: str = "viewer", **values: Any) -> int:
    """With the password PASSWORD."""
    with writing(state) as connection:
        return users.add(connection, name, role, 0, **{"password": _HASHED, **values})


def build_app(state: Engine, clock: Clock | None = None, **options: Any) -> Flask:
    """The app, with further views for viewers and operators; `options`: of `build_context`."""
    app = create_app(build_context(state, clock, **options))

    @app.route("/api/v1/thing", methods=["GET", "POST"])
    @requires("viewer")
    def read() -> Response:
        return Response(g.principal)

    @app.post("/api/v1/thing/change")
    @requires("operator")
    def change() -> Response:
        return Response(g.principal)

    @app.get("/unmarked")
    def unmarked() -> Response:
        return Response("for viewers")

    return app


class Visitor:
    """One browser with its cookies."""

    def __init__(self, app: Flask, address: str = "192.0.2.7", base: str = BASE) -> None:
        self.client = app.test_client()
        self._given: dict[str, Any] = {
            "environ_base": {"REMOTE_ADDR": address},
            "base_url": base,
        }

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **{"headers": BROWSER, **self._given, **options})

    def token(self, path: str = "/login") -> str:
        """The token in the forms of this page."""
        found = _TOKEN.search(self.get(path).text)
        assert found, path
        return html.unescape(found[1])

    def post(
        self,
        path: str,
        form: Mapping[str, str | Sequence[str]] | None = None,
        page: str = "/account",
        **options: Any,
    ) -> TestResponse:
        """Send the form that was loaded with `page`."""
        data = {"csrf_token": self.token(page), **(form or {})}
        return self.client.post(path, data=data, **{"headers": BROWSER, **self._given, **options})

    def login(self, name: str, password: str = PASSWORD, **form: str) -> TestResponse:
        return self.post("/login", {"name": name, "password": password, **form}, "/login")

    def is_logged_in(self) -> bool:
        return self.get("/unmarked").status_code == 200


def logged_in(app: Flask, name: str, base: str = BASE) -> Visitor:
    visitor = Visitor(app, base=base)
    answer = visitor.login(name)
    assert answer.status_code == 303, answer.text
    return visitor
