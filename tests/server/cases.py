"""Requests as clients send them, good, odd and hostile, and the answers that they must get.

The numbers are sections of RFC 9112 (HTTP/1.1) or, with "9110 ", of RFC 9110 (HTTP semantics).
"""

from typing import NamedTuple

JSON = b'{"mac_address":"02:00:00:00:00:01","battery":3.1}'
FORM = b"mac_address=02:00:00:00:00:01&battery=3.1"
LINE = b'{"mac_address":"02:00:00:00:00:02"}\n'
HOST = b"Host: localhost\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(JSON)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /heartbeat HTTP/1.1\r\n" + HOST
BEAT = POST + LENGTH + b"\r\n" + JSON


class Case(NamedTuple):
    """`statuses` of all answers, in order. `stays`: whether the connection stays open."""

    sent: bytes
    statuses: tuple[int, ...]
    stays: bool = True
    methods: tuple[str, ...] = ("GET",)
    """Of the requests, as far as it matters to the framing of the answers."""


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


def headed(*lines: bytes, start: bytes = GET, body: bytes = b"") -> bytes:
    """A request with more headers."""
    return start + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def posted(version: bytes, *lines: bytes, body: bytes = JSON) -> bytes:
    """A heartbeat with exactly these headers."""
    start = b"POST /heartbeat HTTP/" + version + b"\r\n"
    return headed(*lines, b"Content-Length: %d" % len(body), start=start, body=body)


GOOD = {
    "get": Case(headed(), (200,)),
    "post json": Case(BEAT, (200,)),
    "post form": Case(headed(b"Content-Length: %d" % len(FORM), start=POST, body=FORM), (200,)),
    "put": Case(BEAT.replace(b"POST", b"PUT"), (200,)),
    "get with a query": Case(
        headed(start=b"GET /heartbeat?" + FORM + b" HTTP/1.1\r\n" + HOST), (200,)
    ),
    "head of the ingest app": Case(
        headed(start=b"HEAD /heartbeat?" + FORM + b" HTTP/1.1\r\n" + HOST),
        (200,),
        methods=("HEAD",),
    ),
    "head of a page (9110 9.3.2)": Case(
        headed(start=b"HEAD / HTTP/1.1\r\n" + HOST), (200,), methods=("HEAD",)
    ),
    "chunked (7.1)": Case(headed(CHUNKED.strip(), start=POST, body=chunks(JSON)), (200,)),
    "chunks of one byte": Case(
        headed(
            CHUNKED.strip(), start=POST, body=chunks(*(JSON[n : n + 1] for n in range(len(JSON))))
        ),
        (200,),
    ),
    "chunk extension (7.1.1)": Case(
        headed(CHUNKED.strip(), start=POST, body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)),
        (200,),
    ),
    "trailer (7.1.2)": Case(
        headed(CHUNKED.strip(), start=POST, body=chunks(JSON, end=b"0\r\nX-Sum: 1\r\n\r\n")), (200,)
    ),
    "chunk size with zeros and capitals": Case(
        headed(CHUNKED.strip(), start=POST, body=b"000%X\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)),
        (200,),
    ),
    "coding in capitals": Case(
        headed(b"TRANSFER-ENCODING: CHUNKED", start=POST, body=chunks(JSON)), (200,)
    ),
    "two pipelined (9.3.2)": Case(BEAT + BEAT, (200, 200)),
    "pipelined pages and heartbeats": Case(headed() + BEAT + headed() + BEAT, (200, 200, 200, 200)),
    "forty pipelined": Case(BEAT * 40, (200,) * 40),
    "close (9.6)": Case(headed(b"Connection: close"), (200,), False),
    "nothing is answered after close (9.6)": Case(
        headed(b"Connection: close") + BEAT, (200,), False
    ),
    "close among other options": Case(headed(b"Connection: x, Close"), (200,), False),
    "HTTP/1.0 (9.3)": Case(headed(start=b"GET /healthz HTTP/1.0\r\n"), (200,), False),
    "HTTP/1.0 keep-alive": Case(
        headed(b"Connection: keep-alive", start=b"GET /healthz HTTP/1.0\r\n"), (200,)
    ),
    "HTTP/1.0 page of unknown length": Case(
        headed(start=b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n"), (200,), False
    ),
    "absolute form (3.2.2)": Case(
        headed(start=b"GET http://localhost/healthz HTTP/1.1\r\n" + HOST), (200,)
    ),
    "absolute form without a path": Case(
        headed(start=b"GET http://localhost HTTP/1.1\r\n" + HOST), (200,)
    ),
    "absolute form wins over Host (3.2.2)": Case(
        headed(start=b"GET http://localhost/healthz HTTP/1.1\r\nHost: elsewhere\r\n"), (200,)
    ),
    "empty lines before the request (2.2)": Case(b"\r\n\r\n" + headed(), (200,)),
    "percent-encoded path": Case(
        headed(start=b"GET /%68eartbeat?" + FORM + b" HTTP/1.1\r\n" + HOST), (200,)
    ),
    "no space after the colon (5.1)": Case(
        headed(start=b"GET /healthz HTTP/1.1\r\nHost:localhost\r\n"), (200,)
    ),
    "spaces around a value (5.1)": Case(
        headed(start=b"GET /healthz HTTP/1.1\r\nHost: \t localhost \t\r\n"), (200,)
    ),
    "name in capitals": Case(headed(start=b"GET /healthz HTTP/1.1\r\nHOST: localhost\r\n"), (200,)),
    "empty value": Case(headed(b"X-Empty:"), (200,)),
    "value in latin-1 (9110 5.5)": Case(headed(b"X-Name: caf\xe9"), (200,)),
    "Expect: 100-continue (9110 10.1.1)": Case(
        headed(b"Expect: 100-continue", LENGTH.strip(), start=POST, body=JSON), (100, 200)
    ),
    "expectation in HTTP/1.0": Case(
        posted(b"1.0", b"Host: localhost", b"Expect: 100-continue"), (200,), False
    ),
    "upgrade to HTTP/2 of curl --http2 (9110 7.8)": Case(
        headed(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ),
        (200,),
    ),
    "upgrade with a body, as Java's HttpClient sends it": Case(
        headed(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAA",
            LENGTH.strip(),
            start=POST,
            body=JSON,
        )
        + BEAT,
        (200, 200),
    ),
    "upgrade with a chunked body": Case(
        headed(
            b"Connection: Upgrade", b"Upgrade: h2c", CHUNKED.strip(), start=POST, body=chunks(JSON)
        )
        + BEAT,
        (200, 200),
    ),
    "two cookies": Case(headed(b"Cookie: a=1", b"Cookie: b=2"), (200,)),
    "options": Case(headed(start=b"OPTIONS /healthz HTTP/1.1\r\n" + HOST), (200,)),
    "curl": Case(
        posted(
            b"1.1",
            b"Host: localhost:8000",
            b"User-Agent: curl/8.14.1",
            b"Accept: */*",
            b"Content-Type: application/x-www-form-urlencoded",
        ),
        (200,),
    ),
    "wget": Case(
        posted(
            b"1.1",
            b"Host: localhost:8000",
            b"User-Agent: Wget/1.21.3",
            b"Accept: */*",
            b"Accept-Encoding: identity",
            b"Connection: Keep-Alive",
            b"Content-Type: application/x-www-form-urlencoded",
        ),
        (200,),
    ),
    "BusyBox wget": Case(
        posted(
            b"1.1",
            b"Host: localhost:8000",
            b"User-Agent: Wget",
            b"Connection: close",
            b"Content-Type: application/x-www-form-urlencoded",
        ),
        (200,),
        False,
    ),
    "ESP8266 HTTPClient": Case(
        posted(
            b"1.1",
            b"Host: localhost:8000",
            b"User-Agent: ESP8266HTTPClient",
            b"Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0",
            b"Connection: close",
        ),
        (200,),
        False,
    ),
    "ESP8266 HTTPClient, reused": Case(
        posted(
            b"1.1",
            b"Host: localhost:8000",
            b"User-Agent: ESP8266HTTPClient",
            b"Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0",
            b"Connection: keep-alive",
        ),
        (200,),
    ),
    "MicroPython urequests": Case(posted(b"1.0", b"Host: localhost"), (200,), False),
    "Telegraf": Case(
        headed(
            b"Host: localhost:8000",
            b"User-Agent: Telegraf/1.32.0 Go/1.23.0",
            b"Content-Type: application/x-ndjson",
            b"Content-Length: %d" % len(LINE),
            b"Accept-Encoding: gzip",
            start=b"POST /heartbeats HTTP/1.1\r\n",
            body=LINE,
        ),
        (200,),
    ),
    "Go, body of unknown length": Case(
        headed(
            b"User-Agent: Go-http-client/1.1",
            CHUNKED.strip(),
            b"Accept-Encoding: gzip",
            start=POST,
            body=chunks(JSON),
        ),
        (200,),
    ),
    "Node fetch": Case(
        posted(
            b"1.1",
            b"host: localhost:8000",
            b"connection: keep-alive",
            b"content-type: application/json",
            b"accept: */*",
            b"accept-language: *",
            b"sec-fetch-mode: cors",
            b"user-agent: node",
            b"accept-encoding: gzip, deflate",
        ),
        (200,),
    ),
    "not found keeps the connection": Case(
        headed(start=b"GET /nowhere HTTP/1.1\r\n" + HOST), (404,)
    ),
    "bad heartbeat keeps the connection": Case(
        headed(b"Content-Length: 2", start=POST, body=b"{}") + BEAT, (400, 200)
    ),
}
"""Accepted, though some are odd."""

BAD = {
    "no Host (3.2)": Case(headed(start=b"GET /healthz HTTP/1.1\r\n"), (400,), False),
    "two Hosts (3.2)": Case(headed(b"Host: localhost"), (400,), False),
    "two lengths (6.3)": Case(
        headed(LENGTH.strip(), LENGTH.strip(), start=POST, body=JSON), (400,), False
    ),
    "lengths that differ (6.3)": Case(
        headed(LENGTH.strip(), b"Content-Length: 1", start=POST, body=JSON), (400,), False
    ),
    "list of lengths": Case(headed(b"Content-Length: 2, 2", start=POST, body=b"{}"), (400,), False),
    "length and chunked (6.1)": Case(
        headed(LENGTH.strip(), CHUNKED.strip(), start=POST, body=chunks(JSON)), (400,), False
    ),
    "chunked and length (6.1)": Case(
        headed(CHUNKED.strip(), LENGTH.strip(), start=POST, body=chunks(JSON)), (400,), False
    ),
    "chunked in HTTP/1.0 (6.1)": Case(
        headed(CHUNKED.strip(), start=b"POST /heartbeat HTTP/1.0\r\n" + HOST, body=chunks(JSON)),
        (400,),
        False,
    ),
    "negative length": Case(headed(b"Content-Length: -1", start=POST), (400,), False),
    "length with a plus": Case(headed(b"Content-Length: +5", start=POST), (400,), False),
    "hexadecimal length": Case(headed(b"Content-Length: 0x5", start=POST), (400,), False),
    "empty length": Case(headed(b"Content-Length:", start=POST), (400,), False),
    "endless length": Case(headed(b"Content-Length: " + b"9" * 40, start=POST), (400,), False),
    "huge length": Case(headed(b"Content-Length: 999999999999", start=POST), (413,), False),
    "huge length of a page": Case(
        headed(b"Content-Length: 999999999999", start=b"POST /login HTTP/1.1\r\n" + HOST),
        (413,),
        False,
    ),
    "other coding (6.1)": Case(headed(b"Transfer-Encoding: gzip", start=POST), (501,), False),
    "chunked is not last (6.1)": Case(
        headed(b"Transfer-Encoding: chunked, gzip", start=POST, body=chunks(JSON)), (400,), False
    ),
    "two codings (6.1)": Case(
        headed(b"Transfer-Encoding: gzip, chunked", start=POST, body=chunks(JSON)), (501,), False
    ),
    "coding with a vertical tab": Case(
        headed(b"Transfer-Encoding: \x0bchunked", start=POST, body=chunks(JSON)), (400,), False
    ),
    "chunked twice": Case(
        headed(CHUNKED.strip(), CHUNKED.strip(), start=POST, body=chunks(JSON)), (400,), False
    ),
    "chunk size is no number": Case(
        headed(CHUNKED.strip(), start=POST, body=b"zz\r\n{}\r\n"), (400,), False
    ),
    "chunk longer than its size": Case(
        headed(CHUNKED.strip(), start=POST, body=b"2\r\n{}xx\r\n0\r\n\r\n"), (400,), False
    ),
    "chunk size overflows": Case(
        headed(CHUNKED.strip(), start=POST, body=b"f" * 17 + b"\r\n"), (400,), False
    ),
    "folded header (5.2)": Case(headed(b"X-Folded: a\r\n b"), (400,), False),
    "space before the colon (5.1)": Case(headed(b"X-Name : a"), (400,), False),
    "header without a colon": Case(headed(b"nonsense"), (400,), False),
    "header without a name": Case(headed(b": a"), (400,), False),
    "NUL in a value (9110 5.5)": Case(headed(b"X-Name: a\x00b"), (400,), False),
    "CR in a value (9110 5.5)": Case(headed(b"X-Name: a\rb"), (400,), False),
    "name that is not ASCII": Case(headed(b"X-N\xe4me: a"), (400,), False),
    "line ends with LF only": Case(b"GET /healthz HTTP/1.1\nHost: localhost\n\n", (400,), False),
    "space before the first header (2.2)": Case(
        b"GET /healthz HTTP/1.1\r\n " + HOST + b"\r\n", (400,), False
    ),
    "HTTP/0.9": Case(b"GET /healthz\r\n\r\n", (505,), False),
    "HTTP/2 preface": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,), False),
    "HTTP/3.0": Case(headed(start=b"GET /healthz HTTP/3.0\r\n"), (400,), False),
    "HTTP/1.10": Case(headed(start=b"GET /healthz HTTP/1.10\r\n"), (400,), False),
    "http in small letters": Case(headed(start=b"GET /healthz http/1.1\r\n"), (400,), False),
    "TLS on a plain port": Case(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50), (501,), False
    ),
    "unknown method": Case(headed(start=b"BREW /heartbeat HTTP/1.1\r\n" + HOST), (501,), False),
    "method in small letters (9110 9.1)": Case(
        headed(start=b"get /heartbeat HTTP/1.1\r\n" + HOST), (501,), False
    ),
    "CONNECT (3.2.3)": Case(b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", (501,), False),
    "target without a slash": Case(headed(start=b"GET healthz HTTP/1.1\r\n" + HOST), (400,), False),
    "space in the target": Case(headed(start=b"GET /a b HTTP/1.1\r\n" + HOST), (400,), False),
    "user in the target": Case(
        headed(start=b"GET http://a@localhost/ HTTP/1.1\r\n" + HOST), (400,), False
    ),
    "target with another scheme": Case(
        headed(start=b"GET ftp://localhost/ HTTP/1.1\r\n" + HOST), (400,), False
    ),
    "target that is not ASCII": Case(
        headed(start=b"GET /caf\xe9 HTTP/1.1\r\n" + HOST), (400,), False
    ),
    "long target": Case(
        headed(start=b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST), (414,), False
    ),
    "long header": Case(headed(b"X-Long: " + b"a" * 9_000), (431,), False),
    "many headers": Case(headed(*[b"X-Name: a"] * 200), (431,), False),
    "unknown expectation (9110 10.1.1)": Case(headed(b"Expect: coffee"), (417,), False),
    "a good request, then nonsense": Case(BEAT + b"\x00\x01", (200, 501), False),
    "smuggled request": Case(
        headed(b"Content-Length: 6", CHUNKED.strip(), start=POST, body=b"0\r\n\r\nG"), (400,), False
    ),
    "other Host": Case(
        headed(start=b"GET /heartbeat?" + FORM + b" HTTP/1.1\r\nHost: elsewhere\r\n"), (421,)
    ),
    "method of another resource": Case(
        headed(start=b"DELETE /heartbeat HTTP/1.1\r\n" + HOST), (405,)
    ),
}
"""Refused."""

CASES = {**GOOD, **BAD}
