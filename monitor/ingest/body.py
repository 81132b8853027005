"""The body of a request: read within its limit, decompressed within its limit."""

import zlib
from http import HTTPStatus
from typing import Any

from monitor.ingest.problem import Problem

_DIGITS = 18
_GZIP = 16 + zlib.MAX_WBITS


def read_body(environ: dict[str, Any], limit: int) -> bytes:
    """All of it, at most `limit` bytes, decompressed ones too. Raises Problem."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        if not (length.isascii() and length.isdigit()):
            raise Problem(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
        if len(length) > _DIGITS or int(length) > limit:
            raise _too_large(limit)
        expected = int(length)
    elif environ.get("wsgi.input_terminated") and "HTTP_TRANSFER_ENCODING" in environ:
        expected = None
    else:
        return b""
    try:
        body: bytes = environ["wsgi.input"].read(limit + 1 if expected is None else expected)
    except OSError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off") from error
    if expected is None:
        if len(body) > limit:
            raise _too_large(limit)
    elif len(body) < expected:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is shorter than Content-Length")
    if "HTTP_CONTENT_ENCODING" in environ:
        return _decoded(body, environ["HTTP_CONTENT_ENCODING"], limit)
    return body


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body, limit)
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {encoding[:40]!r} is not known here; gzip is",
        headers={"Accept-Encoding": "gzip"},
    )


def _gunzip(body: bytes, limit: int) -> bytes:
    """Never makes more than `limit` bytes and one, however much is promised."""
    pieces: list[bytes] = []
    room = limit + 1
    while body:
        unzip = zlib.decompressobj(_GZIP)
        try:
            piece = unzip.decompress(body, room)
        except zlib.error as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not gzip: {error}") from error
        pieces.append(piece)
        room -= len(piece)
        if room <= 0:
            raise _too_large(limit)
        if not unzip.eof:
            raise Problem(HTTPStatus.BAD_REQUEST, "the gzip body broke off")
        body = unzip.unused_data
    return b"".join(pieces)


def _too_large(limit: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"at most {limit} bytes are taken at once, decompressed ones too; send several requests",
    )
