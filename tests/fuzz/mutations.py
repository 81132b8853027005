"""Random mutations of requests: each function changes one thing."""

import functools
import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

from tests.fuzz.request import Request

METHODS = (
    *(b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT"),
    *(b"get", b"BREW", b"X" * 300, b"P\x00ST", "ÄÖ".encode(), b"M-SEARCH"),
)
TEXTS: tuple[bytes, ...] = (
    *(b"", b" ", b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\x7f"),
    *("Prüfstand 🔥".encode(), "\u202e\u0000\uffff".encode(), "ﬀİı".encode(), "１２".encode()),
    *(b"0", b"-1", b"1e999", b"9" * 30, b"9" * 5_000, b"NaN", b"Infinity", b"0x10", b"1_000"),
    *(b"9223372036854775807", b"9223372036854775808", b"null", b"true", b"[]", b"{}", b"%", b"%s"),
    *(b"..", b"../../etc/passwd", b"..%2f..%2fetc%2fpasswd", b"\\", b"'; DROP TABLE sensor; --"),
    *(b"<script>alert(1)</script>", b"{{7*7}}", b"${x}", b"*", b"|", b"a|b", b"=", b"a=b", b"a!=*"),
    *(b"x" * 300, b"x" * 9_000, b"02:00:00:00:00:0a", b"02-00-00-00-00-0b", b"ff:ff:ff:ff:ff:ff"),
    *(b"2026-03-29T02:30", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59+23:59", b"-5 days"),
    *(b"Europe/Berlin", b"../UTC", b"FREQ=SECONDLY", b"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, 10**400, 1e308, -0.0, float("nan")),
    *(float("inf"), "", " ", "x" * 10_000, "\u0000", "\ud800", "🔥", "1", [], {}, [[]], [None]),
    *({"a": {"b": []}}, ["x"] * 2_000, {"": ""}, {f"k{n}": n for n in range(300)}),
)
_ENCODINGS = (b"gzip", b"deflate", b"br", b"zstd", b"identity", b"gzip, gzip", b"x-gzip", b"\xff")
_TYPES = (
    *(b"", b"text/plain", b"application/json", b"application/x-ndjson", b"application/xml"),
    *(b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/json;charset=x"),
    *(b"multipart/form-data; boundary=", b"multipart/form-data; boundary=x", b"text/html; \xff"),
    *(b"application/x-www-form-urlencoded; charset=utf-16", b"x" * 5_000, b"a/b/c", b";;;="),
)
_HEADERS: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"Host", (b"", b"evil.example", b"[::1", b"localhost:99999", b"\xff", b"a" * 300, b"a b")),
    (b"Accept", (b"", b"*/*;q=x", b"text/html;q=1e999", b"\xff", b"," * 2_000, b"text/html")),
    (b"Accept-Encoding", (b"gzip", b"br;q=x", b"zstd", b"\xff", b"*;q=0", b"," * 2_000)),
    (b"Authorization", (b"", b"Bearer", b"Bearer \xff", b"Basic eA==", b"Bearer " + b"x" * 7_000)),
    (b"Cookie", (b"", b"monitor=", b"monitor=x.y.z", b"monitor=.eJw;;=;\xff", b"a=b; " * 900)),
    (b"Range", (b"bytes=0-0", b"bytes=-1", b"bytes=9-1", b"bytes=\xff", b"bytes=0-0," * 500)),
    (b"If-None-Match", (b"*", b'"', b'W/"', b"\xff", b'"x",' * 900)),
    (b"If-Modified-Since", (b"x", b"Thu, 99 Foo 9999 99:99:99 GMT", b"\xff", b"0")),
    (b"If-Range", (b"x", b'W/"x"', b"\xff")),
    (b"Origin", (b"null", b"https://evil.example", b"http://[", b"\xff")),
    (b"Sec-Fetch-Site", (b"cross-site", b"same-site", b"\xff", b"")),
    (b"Forwarded", (b"for=x", b"\xff")),
    (b"X-Forwarded-For", (b"x", b"1.2.3.4", b"1.2.3.4," * 900, b"\xff")),
    (b"X-Forwarded-Proto", (b"https", b"https, http", b"\xff")),
    (b"X-Forwarded-Host", (b"evil.example",)),
    (b"SCRIPT_NAME", (b"/x", b"/heartbeat")),
    (b"Script-Name", (b"/x",)),
    (b"X-Script-Name", (b"/x",)),
    (b"X-HTTP-Method-Override", (b"DELETE", b"\xff")),
    (b"X-CSRF-Token", (b"", b"x", b"\xff", b"a.b.c", b"x" * 5_000)),
    (b"Expect", (b"100-continue", b"x", b"")),
    (b"Upgrade", (b"websocket", b"h2c")),
    (b"Content-Length", (b"1", b"99999", b"-1", b"abc", b"1e3", b"9" * 40, b"", b"+5", b"\xff")),
    (b"Transfer-Encoding", (b"chunked", b"gzip, chunked", b"identity", b"x", b"chunked, chunked")),
    (b"Content-Encoding", _ENCODINGS),
    (b"Content-Type", _TYPES),
    (b"X-" + b"a" * 9_000, (b"x",)),
    (b"X-Long", (b"a" * 7_000, b"a" * 9_000, b"\xff" * 100)),
    (b"Bad Name", (b"x",)),
    (b"", (b"no colon at all", b" folded: line", b": nameless", b"\x00: x")),
)
_FRAMING = (b"Content-Length", b"Transfer-Encoding", b"Expect", b"")
_CHUNKS = (
    b"5\r\nabc\r\n0\r\n\r\n",
    b"zz\r\nabc\r\n0\r\n\r\n",
    b"-1\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n",
    b"ffffffffffffffff\r\nabc",
    b"3;x=\xff\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
    b"",
    b"3\r\nab",
    b"0\r\n\r\n",
    b"1" * 9_000,
)


def _method(request: Request, chance: random.Random) -> None:
    request.method = chance.choice(METHODS)


def _segment(request: Request, chance: random.Random) -> None:
    segments = request.path.split(b"/") if b"/" in request.path else [b"", b""]
    text = chance.choice(TEXTS)
    # includes raw bytes that no client library would send
    if chance.random() < 0.8:
        text = quote_from_bytes(text, safe="%.").encode()
    segments[chance.randrange(1, len(segments))] = text
    request.path = b"/".join(segments)


def _more_path(request: Request, chance: random.Random) -> None:
    """Extend the path, raw or escaped, or use another form of request target."""
    more = (
        b"/",
        b"//",
        b"/.",
        b"/../",
        b"%00",
        b"%ff",
        b"/%2e%2e/",
        b";x",
        b"/" * 300,
        b"/a" * 900,
    )
    request.path += chance.choice(more)
    if chance.random() < 0.2:
        request.path = chance.choice((b"/", b"//evil.example", b"http://evil.example", b"*", b""))


def _query(request: Request, chance: random.Random) -> None:
    parts = [part for part in request.query.split(b"&") if part]
    text = quote_from_bytes(chance.choice(TEXTS), safe="%&=").encode()
    if parts and chance.random() < 0.7:
        place = chance.randrange(len(parts))
        parts[place] = parts[place].partition(b"=")[0] + b"=" + text
        if chance.random() < 0.3:
            parts.append(parts[place])
    else:
        names = (b"q", b"state", b"before", b"limit", b"page", b"since", b"mac", b"kind", b"next")
        parts.append(chance.choice((*names, b"\xff", b"", text)) + b"=" + text)
    request.query = b"&".join(parts)


def _header(request: Request, chance: random.Random) -> None:
    name, values = chance.choice(_HEADERS)
    if chance.random() < 0.1:
        request.headers += [(b"X-%d" % n, b"x") for n in range(chance.choice((20, 99, 150)))]
    if name in _FRAMING:
        request.frames_itself = True
    if chance.random() < 0.3:
        request.headers.append((name, chance.choice(values)))
        name, values = chance.choice(_HEADERS)
        request.frames_itself = request.frames_itself or name in _FRAMING
    value = chance.choice(values)
    request.replace(name, *[value] * chance.choice((1, 1, 1, 2)))


def _without_header(request: Request, chance: random.Random) -> None:
    if request.headers:
        del request.headers[chance.randrange(len(request.headers))]


def _chunked(request: Request, chance: random.Random) -> None:
    request.frames_itself = True
    request.headers.append((b"Transfer-Encoding", b"chunked"))
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(request.body), request.body)
    request.body = chance.choice((*_CHUNKS, whole))
    request.method = chance.choice((request.method, b"POST"))


def _length(request: Request, chance: random.Random) -> None:
    request.frames_itself = True
    length = max(0, len(request.body) + chance.choice((-3, -1, 1, 5, 10**6, 10**12)))
    request.headers.append((b"Content-Length", b"%d" % length))
    if chance.random() < 0.3:
        request.headers.append((b"Content-Length", b"%d" % len(request.body)))


def _bytes(request: Request, chance: random.Random) -> None:
    """Replace a piece of the body, but no digits, which could change an address."""
    place = chance.randrange(len(request.body) + 1)
    text = chance.choice(
        (b"\xff", b"\x00", b"\xc3", b"{", b"]", b'"', b"\\u", b"\xef\xbb\xbf", b",")
    )
    request.body = request.body[:place] + text + request.body[place + chance.randrange(3) :]


def _cut(request: Request, chance: random.Random) -> None:
    request.body = request.body[: chance.randrange(len(request.body) + 1)]


def _other_body(request: Request, chance: random.Random) -> None:
    size = chance.choice((1, 100, 70_000))
    request.body = chance.choice(
        (
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"[" * 2_000 + b"]" * 2_000,
            b"NaN",
            b'{"mac_address":"02:00:00:00:00:0b","battery":1e999}',
            b'{"mac_address":"02:00:00:00:00:0b","time":' + b"9" * 4_000 + b"}",
            b'{"mac_address":"02:00:00:00:00:0b"}\n' * 300,
            b'{"mac_address":"02:00:00:00:00:0b"}\n\xff\xfe\n',
            b"\xef\xbb\xbf" + request.body,
            request.body + request.body,
            request.body.decode("latin-1").encode("utf-16"),
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb",
            b"--x\r\n" * 2_000,
            b"a=b&" * 3_000,
            b"x" * 5_000_000,
            chance.randbytes(size),
        )
    )


@functools.cache
def _bombs() -> tuple[bytes, ...]:
    """Compressed bodies that expand to many megabytes."""
    empty = gzip.compress(b"")
    return (
        gzip.compress(b" " * 10_000_000),
        gzip.compress(b"[" + b"1," * 2_000_000),
        zlib.compress(b" " * 10_000_000),
        empty * 2_000,
        empty * 5_000 + gzip.compress(b"[]"),
        b"\x1f\x8b",
    )


def _compressed(request: Request, chance: random.Random) -> None:
    packed = gzip.compress(request.body, 1)
    damaged = (packed[:-5], packed + b"\x00\xff", zlib.compress(request.body)[2:-4])
    request.body = chance.choice((packed, packed, *damaged, *_bombs()))
    request.replace(b"Content-Encoding", chance.choice(_ENCODINGS))


def _value(request: Request, chance: random.Random) -> None:
    """Change one value of a JSON body or a form."""
    try:
        whole = json.loads(request.body)
    except (ValueError, RecursionError):
        parts = request.body.split(b"&")
        place = chance.randrange(len(parts))
        text = quote_from_bytes(chance.choice(TEXTS), safe="%").encode()
        parts[place] = parts[place].partition(b"=")[0] + b"=" + text
        if chance.random() < 0.2:
            del parts[place]
        request.body = b"&".join(parts)
        return
    places: list[tuple[Any, Any]] = []
    _collect(whole, places)
    if not places:
        whole = chance.choice(VALUES)
    else:
        container, key = chance.choice(places)
        if chance.random() < 0.15:
            del container[key]
        else:
            container[key] = chance.choice(VALUES)
        if isinstance(whole, dict) and chance.random() < 0.2:
            whole[chance.choice(("", "x", "\u0000", "__class__", "a" * 3_000))] = 1
    request.body = json.dumps(whole).encode()


def _collect(part: Any, places: list[tuple[Any, Any]]) -> None:
    keys = list(part) if isinstance(part, dict) else range(len(part)) if _is_list(part) else []
    for key in keys:
        places.append((part, key))
        _collect(part[key], places)


def _is_list(part: Any) -> bool:
    return isinstance(part, list)


def _half_closed(request: Request, chance: random.Random) -> None:
    request.half_closed = True


def _abandoned(request: Request, chance: random.Random) -> None:
    request.abandoned = True
    if chance.random() < 0.5:
        _length(request, chance)


def _pipelined(request: Request, chance: random.Random) -> None:
    request.pipelined = chance.choice(
        (
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\nPOST /heartbeat HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"\r\n\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n",
        )
    )


def _version(request: Request, chance: random.Random) -> None:
    request.version = chance.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"http/1.1", b"", b"X"))


MUTATIONS: tuple[Callable[[Request, random.Random], None], ...] = (
    *(_method, _segment, _segment, _more_path, _query, _query, _header, _header, _header),
    *(_without_header, _chunked, _length, _bytes, _cut, _other_body, _compressed, _value, _value),
    *(_half_closed, _abandoned, _pipelined, _version),
)


def mutate(request: Request, chance: random.Random) -> None:
    """Apply one to three mutations."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(MUTATIONS)(request, chance)
    if request.frames_itself and chance.random() < 0.7:
        request.half_closed = True
