"""From bytes to requests: llhttp's parser, and the checks that it leaves to the server."""

from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import httptools

from monitor.server.limits import Limits
from monitor.server.messages import Request, RequestError

_VERSIONS = ("1.0", "1.1")
_SEPARATE = "; "
"""Joins repeated Cookie headers; other headers are joined with a comma."""


class Events(Protocol):
    """What the parser passes to the connection for each request."""

    def head_received(self, request: Request, length: int | None, expects: bool) -> None:
        """The headers are complete. `length` of the body in bytes: None if it is chunked.
        `expects`: the client waits for 100 Continue. May raise RequestError."""

    def body_received(self, data: bytes) -> None:
        """A part of the body. May raise RequestError."""

    def request_received(self, keep_alive: bool) -> None:
        """The request is complete."""


class Parser:
    """Parses the requests of one connection."""

    def __init__(self, events: Events, limits: Limits) -> None:
        self._events, self._limits = events, limits
        self._llhttp = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self.within_request = False
        self.within_head = False
        self._resuming = False
        self._body_follows = b""
        """For a request that asks for another protocol: a header that frames its body."""

    def feed(self, data: bytes) -> None:
        """Calls the events for these bytes. Raises RequestError; then no more may be fed."""
        self._parse(data)
        if self.within_request:
            self._check_headers()

    def close(self) -> None:
        """Called at the end. Parser and llhttp refer to each other: without this, each connection
        would leave work to the garbage collector."""
        del self._llhttp

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._llhttp.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._ignore_upgrade()
                if data:
                    continue
            except httptools.HttpParserCallbackError as error:
                if isinstance(error.__context__, RequestError):
                    raise error.__context__ from None
                raise
            except httptools.HttpParserInvalidMethodError:
                raise RequestError(
                    HTTPStatus.NOT_IMPLEMENTED, "the request does not start with a known method"
                ) from None
            except httptools.HttpParserError as error:
                raise RequestError(HTTPStatus.BAD_REQUEST, _reason(error)) from None
            return

    def _check_headers(self) -> None:
        """Also called while they are incomplete, so that they can't fill the memory."""
        limits = self._limits
        if len(self._headers) > limits.headers:
            raise RequestError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"at most {limits.headers} headers are allowed",
            )
        for name, value in self._headers:
            if len(name) + len(value) > limits.header:
                raise RequestError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"at most {limits.header} bytes are allowed in a header",
                )

    def _ignore_upgrade(self) -> None:
        """No other protocol is supported, so the request is handled as if it asked for none: Java's
        client, for one, asks for HTTP/2 in its first request. llhttp stops after the headers, so a
        new parser gets the framing of the body."""
        self._llhttp = httptools.HttpRequestParser(self)
        if self._body_follows:
            line, self._resuming = b"POST / HTTP/1.1\r\n", True
            self._llhttp.feed_data(line + self._body_follows + b"\r\n\r\n")
            self._body_follows, self._resuming = b"", False

    # The names of the following methods are httptools'.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._resuming:
            return
        self.within_request = self.within_head = True
        self._target, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        if self._resuming:
            return
        self._target += url
        if len(self._target) > self._limits.request_line:
            raise RequestError(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"at most {self._limits.request_line} bytes are allowed in a URL",
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after a chunked body, which is ignored."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the headers."""
        if self._resuming:
            return
        self.within_head = False
        self._check_headers()
        version = self._llhttp.get_http_version()
        if version not in _VERSIONS:
            raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1, or HTTP/1.0")
        method = self._llhttp.get_method().decode("ascii")
        if method == "CONNECT":
            raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "CONNECT is not supported")
        headers = _joined(self._headers)
        target = self._target.decode("latin-1")
        authority, path, query = _parts(target)
        if authority is not None:
            headers["host"] = authority
        elif version == "1.1" and "host" not in headers:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, "a request in HTTP/1.1 needs the header Host"
            )
        request = Request(method, target, path, query, version, headers)
        length, expects = _length(headers, version), _expects(headers.get("expect"), version)
        if self._llhttp.should_upgrade() and length != 0:
            framing = (
                "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
            )
            self._body_follows = framing.encode()
        self._events.head_received(request, length, expects)

    def on_body(self, body: bytes) -> None:
        """A part of the body, without the framing of chunks."""
        self._events.body_received(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if self._body_follows:
            return
        self.within_request = False
        self._events.request_received(self._llhttp.should_keep_alive())


def _joined(received: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in received:
        name, value = _name(raw_name), raw_value.strip(b" \t").decode("latin-1")
        if name not in headers:
            headers[name] = value
        elif name == "host" or name == "content-length":
            raise RequestError(HTTPStatus.BAD_REQUEST, f"the header {name} occurs more than once")
        else:
            headers[name] += (_SEPARATE if name == "cookie" else ", ") + value
    return headers


@lru_cache(maxsize=1_000)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def _parts(target: str) -> tuple[str | None, str, str]:
    """Authority (only of a target that has one), decoded path, and query."""
    authority: str | None = None
    path = target
    if not path.startswith("/"):
        scheme, separator, rest = path.partition("://")
        if path == "*":
            pass
        elif separator and scheme.lower() in ("http", "https"):
            end = min((rest.find(each) for each in "/?#" if each in rest), default=len(rest))
            authority, path = rest[:end], rest[end:] or "/"
            if not authority or "@" in authority:
                raise RequestError(HTTPStatus.BAD_REQUEST, "the target is not a valid URL")
        else:
            raise RequestError(HTTPStatus.BAD_REQUEST, "the target must start with a slash")
    path = path.partition("#")[0]
    path, _, query = path.partition("?")
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    return authority, path, query


def _length(headers: dict[str, str], version: str) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        # RFC 9112, 6.1 and 6.3: anything else could end elsewhere for a proxy in front.
        if "content-length" in headers or version == "1.0":
            raise RequestError(
                HTTPStatus.BAD_REQUEST,
                "Transfer-Encoding is not allowed with Content-Length or in HTTP/1.0",
            )
        if coding.lower() != "chunked":
            raise RequestError(
                HTTPStatus.NOT_IMPLEMENTED, "the only supported Transfer-Encoding is chunked"
            )
        return None
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
    return int(length)


def _expects(expectation: str | None, version: str) -> bool:
    if expectation is None:
        return False
    if expectation.lower() != "100-continue":
        raise RequestError(
            HTTPStatus.EXPECTATION_FAILED, "the only supported expectation is 100-continue"
        )
    return version != "1.0"


def _reason(error: Any) -> str:
    """llhttp's reason. Its texts are constant: they never contain a part of the request."""
    text = str(error.args[0]) if error.args else ""
    return f"the request is malformed: {text}" if text else "the request is malformed"
