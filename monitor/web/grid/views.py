"""The grid, and what belongs to its tab: an icon with the number down, and a service worker."""

from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, render_template, request

from monitor.web.auth.access import public
from monitor.web.grid import cells
from monitor.web.grid.fleet import Fleet
from monitor.web.grid.search import GridFilters

_WORKER = Path(__file__).parents[1] / "static" / "grid" / "worker.js"
_MOST = 99


def blueprint(open_fleet: Callable[[], Fleet], base_url: str) -> Blueprint:
    """`GET /`, `GET /icon/<down>.svg` and `GET /worker.js`; `base_url` is where sensors report."""
    grid_pages = Blueprint("grid", __name__)
    worker = _WORKER.read_bytes()

    @grid_pages.get("/")
    def grid() -> Response:
        shown = cells.grid(open_fleet().changes(None), GridFilters.parse(request.args.getlist))
        response = Response(
            render_template("grid/grid.html", grid=shown, base_url=base_url),
            content_type="text/html; charset=utf-8",
        )
        response.cache_control.no_cache = True
        return response

    @grid_pages.get("/icon/<int:down>.svg")
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

    @grid_pages.get("/worker.js")
    @public
    def service_worker() -> Response:
        """Outside /static/, since a worker serves only pages below its own path."""
        response = Response(worker, content_type="text/javascript; charset=utf-8")
        response.cache_control.no_cache = True
        return response

    return grid_pages
