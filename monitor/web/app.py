"""The Flask application: its configuration, headers, errors and views."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Response, request
from flask_compress import Compress
from werkzeug.exceptions import NotFound
from werkzeug.routing import IntegerConverter, Map

from monitor.model import GREATEST_ID
from monitor.server.hosts import TrustedHosts
from monitor.store.interface import StoreError
from monitor.web import context as contexts
from monitor.web import errors, static_files, time_filter, views
from monitor.web.auth.access import add_to_templates, guard, public
from monitor.web.context import Context, context
from monitor.web.errors import RequestRefused
from monitor.web.grid import sensors_json
from monitor.web.grid.fleet import FleetUnavailable
from monitor.web.responses import fresh

_JSON = "application/json"
BODY_LIMIT = 1024 * 1024
_BY_ANY_NAME = ("/healthz", "/readyz")
"""Load balancers and container platforms ask for these by an address of their choice."""

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


def create_app(context: Context, *, trusted_hosts: Sequence[str] = ()) -> Flask:
    """The application with all pages and the API.

    `trusted_hosts` are the accepted Host headers, see `TrustedHosts`.
    """
    app = _App(__name__, static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_LIMIT,
        COMPRESS_ALGORITHM=["zstd", "br", "gzip"],
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.url_map.converters["int"] = _RowId
    app.url_value_preprocessor(_refuse_nul)
    app.before_request(_check_host(TrustedHosts(trusted_hosts)))
    app.after_request(_add_headers)
    contexts.install(app, context)
    Compress(app)
    time_filter.add_to(app)
    errors.handle_errors(app)
    app.register_error_handler(StoreError, _store_unavailable)
    app.register_error_handler(FleetUnavailable, _fleet_unavailable)
    guard(app, context)
    add_to_templates(app)
    for view in (sensors, healthz, readyz):
        app.add_url_rule(f"/{view.__name__}", view_func=view)
    static_files.add_to(app)
    views.register(app)
    return app


def sensors() -> Response:
    """The sensors that changed since the client's cursor, as JSON."""
    changes = context().fleet().changes(request.args.get("since"))
    return fresh(sensors_json.encode(changes), _JSON)


@public
def healthz() -> Response:
    """Whether the process responds."""
    return fresh(b'{"status":"alive"}', _JSON)


@public
def readyz() -> Response:
    """Whether heartbeats from this host reach the store, and sensors are judged."""
    reasons = list(context().readiness())
    if reasons:
        response = errors.problem(503, " ".join(reasons), reasons)
        response.retry_after = errors.RETRY_AFTER
        return response
    return fresh(b'{"status":"ready"}', _JSON)


def _check_host(hosts: TrustedHosts) -> Callable[[], None]:
    """Flask's own check, TRUSTED_HOSTS, knows no IPv6 addresses."""

    def check() -> None:
        if request.path in _BY_ANY_NAME:
            return
        if not hosts.trusts(request.headers.get("Host", request.host)):
            raise RequestRefused(400, "the Host header does not name this server", "Host")

    return check


class _App(Flask):
    def log_exception(self, exc_info: Any) -> None:
        """Log the rule instead of the path: the path may contain a secret."""
        self.logger.error("%s %s failed", request.method, request.url_rule, exc_info=exc_info)


class _RowId(IntegerConverter):
    """`<int:…>` in a path: an id that the state database can hold."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=GREATEST_ID)


def _refuse_nul(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """PostgreSQL stores no U+0000 in texts, so nothing has such a name. Raises NotFound."""
    if values and "\0" in values.get("name", ""):
        raise NotFound


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _store_unavailable(_error: StoreError) -> Response:
    return errors.unavailable("The heartbeat store does not answer right now.")


def _fleet_unavailable(error: FleetUnavailable) -> Response:
    return errors.unavailable(str(error))
