"""The grid, and what its browser tab uses: an icon with the number of down sensors, and a service
worker."""

from pathlib import Path

from flask import Blueprint, Response, render_template, request

from monitor.web.auth.access import public
from monitor.web.auth.principal import shown as viewer
from monitor.web.context import context
from monitor.web.grid import cells
from monitor.web.grid.search import GridFilters
from monitor.web.responses import HTML, fresh

_WORKER = (Path(__file__).parents[1] / "static" / "grid" / "worker.js").read_bytes()
_MOST = 99

blueprint = Blueprint("grid", __name__)


@blueprint.get("/")
def grid() -> Response:
    shown = cells.grid(context().fleet().changes(None), GridFilters.parse(request.args.getlist))
    text = render_template(
        "grid/grid.html",
        grid=shown,
        base_url=context().base_url,
        may_change=viewer().may("operator"),
    )
    return fresh(text, HTML)


@blueprint.get("/icon/<int:down>.svg")
@public
def icon(down: int) -> Response:
    number = str(down) if down <= _MOST else f"{_MOST}+"
    response = Response(
        render_template("icon.svg", number=number if down else "", down=down),
        content_type="image/svg+xml",
    )
    response.cache_control.public = True
    response.cache_control.max_age = 24 * 3600
    return response


@blueprint.get("/worker.js")
@public
def service_worker() -> Response:
    """Not below /static/, because a service worker serves only pages below its own path."""
    return fresh(_WORKER, "text/javascript; charset=utf-8")
