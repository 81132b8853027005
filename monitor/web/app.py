"""The Flask application: the grid, its JSON, and whether the process lives and is ready."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, request
from flask_compress import Compress
from sqlalchemy import Engine
from werkzeug.exceptions import NotFound
from werkzeug.routing import IntegerConverter, Map

from monitor.analysis.history import History
from monitor.store.interface import StoreError
from monitor.web import errors, time_filter
from monitor.web.anonymous import Gate
from monitor.web.api import access, body
from monitor.web.auth import pages as auth
from monitor.web.auth.access import guard, offer, public
from monitor.web.auth.people import People
from monitor.web.grid import sensors_json, views
from monitor.web.grid.fleet import Fleet, FleetUnavailable
from monitor.web.public import badges
from monitor.web.public import pages as public_pages
from monitor.web.public.pages import Glance
from monitor.web.sensors import page

_STATIC = Path(__file__).parent / "static"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_STORE_AWAY = "The heartbeat store does not answer right now."
_YEAR = 365 * 24 * 3600
_BODY_LIMIT = 1024 * 1024

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    open_fleet: Callable[[], Fleet],
    readiness: Callable[[], Sequence[str]],
    *,
    base_url: str,
    trusted_hosts: Sequence[str] = (),
    engine: Engine | None = None,
    past: History | None = None,
    zone: tzinfo = UTC,
    blueprints: Sequence[Blueprint] = (),
    people: People | None = None,
) -> Flask:
    """`open_fleet` is called once, at the first page that needs it; `readiness` gives the reasons
    why this host is not ready; `trusted_hosts` empty trusts any Host header; `engine` is where
    incidents are, and the tokens that the views of `blueprints` require; with `past` each sensor
    has a page; pages tell moments by the clocks of `zone`; without `people` the pages
    are open to everyone, without a login."""
    app = _App(__name__, static_folder=None)
    app.config.update(
        TRUSTED_HOSTS=list(trusted_hosts) or None,
        MAX_CONTENT_LENGTH=_BODY_LIMIT,
        COMPRESS_ALGORITHM=["zstd", "br", "gzip"],
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    Compress(app)
    app.url_map.converters["int"] = _RowNumber
    app.url_value_preprocessor(_without_nul)
    errors.handle_errors(app)
    time_filter.add_to(app, zone)
    offer(app)
    if people is not None:
        guard(app, people)
        auth.add_to(app, people)
    _serve_static(app)
    fleet = _Once(open_fleet)
    app.register_blueprint(views.blueprint(fleet, base_url))
    if engine is not None:
        access.check_tokens_in(app, engine)
    if engine is not None and past is not None:
        app.register_blueprint(page.blueprint(engine, fleet, past))
    if people is not None and past is not None:
        glance, gate = Glance(fleet, people.clock), Gate()
        app.register_blueprint(public_pages.blueprint(people.engine, glance, gate, people.clock))
        app.register_blueprint(
            badges.blueprint(people.vault, glance, past, base_url, gate, people.clock)
        )
    for blueprint in blueprints:
        app.register_blueprint(blueprint)

    @app.after_request
    def secure(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(StoreError)
    @app.errorhandler(FleetUnavailable)
    def unavailable(error: Exception) -> Response:
        told = str(error) if isinstance(error, FleetUnavailable) else _STORE_AWAY
        return errors.unavailable(told)

    @app.get("/sensors")
    def sensors() -> Response:
        return _fresh(
            sensors_json.encode(fleet().changes(request.args.get("since"))), "application/json"
        )

    @app.get("/healthz")
    @public
    def healthz() -> Response:
        return _fresh(b'{"status":"alive"}', "application/json")

    @app.get("/readyz")
    @public
    def readyz() -> Response:
        reasons = list(readiness())
        if reasons:
            response = errors.problem(503, " ".join(reasons), reasons)
            response.retry_after = errors.RETRY_AFTER
            return response
        return _fresh(b'{"status":"ready"}', "application/json")

    return app


class _App(Flask):
    def log_exception(self, exc_info: Any) -> None:
        """Name the rule, not the path: that may hold what lets its bearer in."""
        self.logger.error("%s %s failed", request.method, request.url_rule, exc_info=exc_info)


def _without_nul(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """PostgreSQL takes U+0000 in no text, so nothing has such a name. Raises NotFound."""
    if values and "\0" in values.get("name", ""):
        raise NotFound


class _RowNumber(IntegerConverter):
    """`<int:…>` in a path: no greater than a database takes."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=body.GREATEST_ID)


class _Once:
    """Makes the fleet at the first call, in whichever process that comes."""

    def __init__(self, open_fleet: Callable[[], Fleet]) -> None:
        self._open, self._lock = open_fleet, threading.Lock()
        self._fleet: Fleet | None = None

    def __call__(self) -> Fleet:
        with self._lock:
            if self._fleet is None:
                self._fleet = self._open()
            return self._fleet


def _fresh(body: str | bytes, content_type: str) -> Response:
    response = Response(body, content_type=content_type)
    response.cache_control.no_cache = True
    return response


def _serve_static(app: Flask) -> None:
    """Under a path that names the content, so that browsers may cache the files."""
    paths = sorted(path for path in _STATIC.rglob("*") if path.is_file())
    files = {path.relative_to(_STATIC).as_posix(): path.read_bytes() for path in paths}
    current = hashlib.sha256(repr(files).encode()).hexdigest()[:12]

    @app.get("/static/<version>/<path:name>")
    @public
    def static(version: str, name: str) -> Response:
        body, kind = files.get(name), _KINDS.get(Path(name).suffix)
        if body is None or kind is None:
            raise NotFound
        response = _fresh(body, kind)
        if version == current:
            response.cache_control.no_cache = None
            response.cache_control.public = response.cache_control.immutable = True
            response.cache_control.max_age = _YEAR
        return response

    @app.template_global()
    def asset(name: str) -> str:
        return f"/static/{current}/{name}"
