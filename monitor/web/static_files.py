"""Static files, below a path with a hash of their content: browsers may cache them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response
from werkzeug.exceptions import NotFound

from monitor.web.auth.access import public
from monitor.web.responses import fresh

_DIRECTORY = Path(__file__).parent / "static"
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR = 365 * 24 * 3600


class _Files(NamedTuple):
    version: str
    contents: dict[str, bytes]
    """Path below `static` -> content."""


def add_to(app: Flask) -> None:
    """Serve the files, and give templates `asset(name)`, the path of a file."""
    _files()  # read all at the start, so that an upgrade does not mix versions
    app.add_url_rule("/static/<version>/<path:name>", view_func=static)
    app.add_template_global(asset)


@public
def static(version: str, name: str) -> Response:
    current, contents = _files()
    body, content_type = contents.get(name), _CONTENT_TYPES.get(Path(name).suffix)
    if body is None or content_type is None:
        raise NotFound
    response = fresh(body, content_type)
    if version == current:
        response.cache_control.no_cache = None
        response.cache_control.public = response.cache_control.immutable = True
        response.cache_control.max_age = _YEAR
    return response


def asset(name: str) -> str:
    return f"/static/{_files().version}/{name}"


@cache
def _files() -> _Files:
    paths = sorted(path for path in _DIRECTORY.rglob("*") if path.is_file())
    contents = {path.relative_to(_DIRECTORY).as_posix(): path.read_bytes() for path in paths}
    return _Files(hashlib.sha256(repr(contents).encode()).hexdigest()[:12], contents)
