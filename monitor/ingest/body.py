"""Decompresses the body of a request, within a size limit."""

import zlib
from http import HTTPStatus

from monitor.ingest.problem import Problem
from monitor.server.messages import Request

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB, _RAW = zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOW = 64 * 1024
"""Compressed bytes per call of zlib, which copies the unused rest of them after each member."""
_MAX_MEMBERS = 1_000
"""A gzip body may have several members; each needs its own decompressor."""


def read_body(request: Request, limit: int) -> bytes:
    """The whole body, decompressed: at most `limit` bytes before and after. Raises Problem."""
    if request.body is None:
        raise _too_large(limit)
    if "content-encoding" in request.headers:
        return _decoded(request.body, request.headers["content-encoding"], limit)
    return request.body


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflated(body, _GZIP, limit)
        case "deflate":
            return _inflated(body, _ZLIB if _has_zlib_header(body) else _RAW, limit)
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {encoding[:40]!r} is not supported; use gzip or deflate",
        headers={"Accept-Encoding": "gzip, deflate"},
    )


def _has_zlib_header(body: bytes) -> bool:
    """RFC 1950. "deflate" should have this header, but some clients send a raw RFC 1951 stream."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    """`window_bits`: zlib's code of the format. Decompresses at most `limit` + 1 bytes, so that a
    small body can't use up the memory."""
    compressed, position, members = memoryview(body), 0, 0
    pieces: list[bytes] = []
    room = limit + 1
    while position < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"the body has more than {_MAX_MEMBERS} gzip members"
            )
        unzip = zlib.decompressobj(window_bits)
        while not unzip.eof:
            window = compressed[position : position + _WINDOW]
            if not window:
                raise Problem(HTTPStatus.BAD_REQUEST, "the compressed body is incomplete")
            try:
                piece = unzip.decompress(window, room)
            except zlib.error as error:
                detail = f"the body does not match Content-Encoding: {error}"
                raise Problem(HTTPStatus.BAD_REQUEST, detail) from error
            pieces.append(piece)
            room -= len(piece)
            if room <= 0:
                raise _too_large(limit)
            position += len(window) - len(unzip.unused_data)
    return b"".join(pieces)


def _too_large(limit: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"at most {limit} bytes are allowed in one request, also after "
        "decompression; send several requests",
    )
