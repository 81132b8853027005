"""Requests and responses of the API: JSON that msgspec checks."""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from flask import Response, request
from msgspec import Meta

from monitor.decoding import from_json
from monitor.model import GREATEST_ID
from monitor.web.errors import RequestRefused

Shape = TypeVar("Shape", bound=msgspec.Struct)

Id = Annotated[int, Meta(ge=1, le=GREATEST_ID)]
"""The id of a row."""

_JSON = "application/json"
_WHERE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$?(?P<path>.*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


def read(shape: type[Shape]) -> Shape:
    """The request's JSON body as a `shape`, a msgspec.Struct (`forbid_unknown_fields=True`
    refuses misspelt names).

    Raises RequestRefused: 415 for another content type, 400 with the field's name for a body that
    is not valid. Flask responds 413 to a body that is too large.
    """
    if request.mimetype != _JSON:
        raise RequestRefused(
            415, f"Content-Type must be {_JSON}", "Content-Type", {"Accept-Post": _JSON}
        )
    content = request.get_data()
    if b"\\u0000" in content:  # PostgreSQL can't store it
        raise RequestRefused(400, "a text must not contain the character U+0000")
    try:
        return from_json(content, shape)
    except msgspec.ValidationError as error:
        raise _misfit(error) from error
    except msgspec.DecodeError as error:
        raise RequestRefused(400, f"the body is not JSON: {error}") from error


def query(shape: type[Shape]) -> Shape:
    """The query's parameters as a `shape`; numbers and booleans are read from text.

    Raises RequestRefused: 400 with the parameter's name.
    """
    for name, values in request.args.lists():
        if len(values) > 1:
            raise RequestRefused(400, "can be given only once", name)
        if "\0" in values[0]:
            raise RequestRefused(400, "a text must not contain the character U+0000", name)
    try:
        return msgspec.convert(request.args.to_dict(), shape, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit(error) from error


def reply(content: Any, status: int = 200) -> Response:
    """A JSON response; `content` may hold structs, dicts, lists, texts and numbers."""
    response = Response(msgspec.json.encode(content), status, content_type=_JSON)
    response.cache_control.no_store = True
    return response


def _misfit(error: msgspec.ValidationError) -> RequestRefused:
    """The path and the reason in msgspec's message."""
    parts = _WHERE.fullmatch(str(error))
    what, path = (parts["what"], parts["path"] or "") if parts else (str(error), "")
    path = path.lstrip(".")
    named = _NAMED.fullmatch(what)
    if named:
        path = f"{path}.{named['name']}" if path else named["name"]
    return RequestRefused(400, what, path or None)
