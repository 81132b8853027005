"""Pages behind the server: PEP 3333, streaming, and clients that leave or do not read."""

import contextlib
import io
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from monitor.server.access_log import log_access
from tests.server.running import Echo, received, running
from tests.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


SECRET = "c2VjcmV0IG9mIHRoZSBiZWFyZXI"


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_environ_is_valid_and_complete() -> None:
    seen: list[dict[str, Any]] = []

    def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append({**environ, "body": environ["wsgi.input"].read(100)})
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    with running(validator(page)) as server:
        head = b"POST /a%20b?c=%20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-One: 1\r\n"
        head += b"X-One: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX_Under: 1\r\nContent-Type: text/x\r\n"
        answer = server.ask(head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(answer) == b"ok"
    (environ,) = seen
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "x",
        "HTTP_X_ONE": "1, 2",
        "HTTP_COOKIE": "a=1; b=2",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "body": b"abc",
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert "HTTP_X_UNDER" not in environ
    assert "HTTP_TRANSFER_ENCODING" not in environ


def streamed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"one", b"", b"two"])


def test_body_of_unknown_length_is_chunked_in_http_1_1_and_ends_the_connection_in_1_0() -> None:
    with running(streamed) as server:
        modern = server.ask(GET)
        old = server.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = server.ask(GET.replace(b"GET", b"HEAD"))
    assert body_of(modern) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert b"Transfer-Encoding: chunked" in modern
    assert body_of(old) == b"onetwo"
    assert b"Connection: close" in old
    assert b"Transfer-Encoding" not in old
    assert body_of(head) == b""


def test_answer_without_a_body_has_none() -> None:
    def not_modified(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("304 Not Modified", [("ETag", '"1"')])
        return [b"nothing of this"]

    with running(not_modified) as server:
        answer = server.ask(GET.replace(b"Connection: close\r\n", b"") + GET)
    assert answer.count(b"HTTP/1.1 304 Not Modified") == 2
    assert b"nothing" not in answer
    assert b"Content-Length" not in answer


def test_write_of_start_response() -> None:
    def page(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one")
        return [b"two"]

    with running(page) as server:
        assert body_of(server.ask(GET)) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize("when", ["before", "header"])
def test_failure_before_the_head_is_a_500_without_details(
    when: str, caplog: pytest.LogCaptureFixture
) -> None:
    def page(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if when == "header":
            start_response("200 OK", [("X-Name", f"a\r\nSet-Cookie: {SECRET}")])
        raise ValueError(SECRET)

    with running(page) as server:
        answer = server.ask(GET)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert SECRET.encode() not in answer
    assert "a request failed: ValueError" in caplog.text
    assert SECRET not in caplog.text


def test_failure_within_the_body_leaves_it_incomplete() -> None:
    def page(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        raise ValueError

    with running(page) as server, server.connect() as connection:
        connection.sendall(GET)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = received(connection)
    assert not answer.endswith(b"0\r\n\r\n")


class Endless:
    """A page without end that counts what it produced."""

    def __init__(self) -> None:
        self.produced = 0
        self.closed = threading.Event()

    def __call__(self, _environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return self

    def __iter__(self) -> Iterator[bytes]:
        piece = bytes(50_000)
        while True:
            self.produced += len(piece)
            yield piece

    def close(self) -> None:
        self.closed.set()


def test_page_waits_for_a_client_that_does_not_read_and_ends_when_it_leaves() -> None:
    page, echo = Endless(), Echo()
    with running(page, {"/echo": echo}, threads=1) as server:
        with server.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(GET)
            connection.recv(1000)
            stopped = -1

            def stands_still() -> bool:
                nonlocal stopped
                before, stopped = stopped, page.produced
                return before == stopped

            eventually(stands_still, every=0.3)
            # What the system's own buffers hold, and what is on its way.
            assert stopped < 20_000_000
            assert not page.closed.is_set()
            assert server.ask(b"GET /echo HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert page.closed.wait(20)


def test_page_ends_when_its_client_does_not_read_for_too_long() -> None:
    page = Endless()
    with running(page, threads=1) as server, server.connect() as connection:
        connection.sendall(GET)

        def later() -> bool:
            server.now += 10
            return page.closed.is_set()

        eventually(later)


def test_long_body_reaches_a_slow_client_complete() -> None:
    def page(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "20000000")])
        for number in range(1_000):
            yield b"%04d\n" % number * 4_000

    with running(page) as server, server.connect() as connection:
        connection.sendall(GET)
        pieces = []
        while piece := connection.recv(50_000):
            pieces.append(piece)
        answer = b"".join(pieces)
    assert body_of(answer) == b"".join(b"%04d\n" % number * 4_000 for number in range(1_000))


def test_body_above_the_limit_is_not_read() -> None:
    def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("413 Content Too Large", [])
        return [environ["CONTENT_LENGTH"].encode()]

    post = b"POST / HTTP/1.1\r\nHost: a\r\n"
    with running(page) as server:
        answer = server.ask(post + b"Content-Length: 200001\r\n\r\n" + bytes(1_000))
        assert body_of(answer) == b"200001"
        chunk = b"%x\r\n%b\r\n" % (150_000, bytes(150_000))
        answer = server.ask(post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2)
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_access_log_has_a_line_for_each_answer_and_no_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(streamed, {"/echo": Echo()}, access=log_access) as server:
        server.ask(GET.replace(b"/ ", f"/password/{SECRET}?token={SECRET} ".encode()))
        server.ask(b"POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("127.0.0.1 - - [")
    assert first.endswith('] "GET /password/... HTTP/1.1" 200 6')
    assert second.endswith('] "POST /echo HTTP/1.0" 200 3')


def test_response_is_completed_when_the_access_log_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)
    monkeypatch.setattr(sys, "stdout", full)
    with running(access=log_access) as server:
        assert server.ask(GET).endswith(b"hello")
    full.close()
