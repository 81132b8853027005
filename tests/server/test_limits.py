"""Time-outs, ceilings and the end of the server, with the test's own clock."""

import contextlib
import socket

import pytest

from monitor.server.limits import Limits
from monitor.server.messages import Request, Response, Send
from tests.server.running import Echo, Running, received, received_until, running
from tests.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.0\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


def answered(connection: socket.socket) -> bytes:
    connection.sendall(GET)
    return received_until(connection, b"hello")


def count(server: Running) -> int:
    return len(server.server._connections)


def test_unfinished_head_gets_408() -> None:
    with running() as server, server.connect() as connection:
        connection.sendall(GET[:-3])
        eventually(lambda: count(server) == 1)
        server.now += Limits().head_timeout + 1
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"headers" in answer


def test_unfinished_body_gets_408_unless_it_keeps_coming() -> None:
    limits = Limits(body_timeout=10, body_rate=10)
    handlers = {"/echo": Echo()}
    with (
        running(handlers=handlers, limits=limits) as server,
        server.connect() as slow,
        server.connect() as steady,
    ):
        for connection in (slow, steady):
            connection.sendall(ECHO % 1_000)
        slow.sendall(b"a")
        for _ in range(9):
            steady.sendall(bytes(100))
            # A round trip: the server has read what was sent before.
            server.ask(b"GET / HTTP/1.0\r\n\r\n")
            server.now += 9
        answer = received(slow)
        steady.sendall(bytes(100))
        assert received_until(steady, bytes(1_000)).startswith(b"HTTP/1.1 200 ")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body" in answer


def test_idle_connection_is_closed_without_an_answer() -> None:
    with running() as server, server.connect() as connection:
        answered(connection)
        server.now += Limits().idle_timeout + 1
        assert received(connection) == b""


def test_silent_connection_is_closed() -> None:
    with running() as server, server.connect() as connection:
        eventually(lambda: count(server) == 1)
        server.now += Limits().head_timeout + 1
        assert received(connection) == b""


def test_connections_idle_for_longest_make_room() -> None:
    with running(limits=Limits(connections=3)) as server:
        held = [server.connect() for _ in range(3)]
        for connection in held:
            answered(connection)
            server.pass_time(1)
        with server.connect() as another:
            assert answered(another)
            assert received(held[0]) == b""
            assert answered(held[1])
        for connection in held:
            connection.close()


def test_connection_above_the_limit_gets_503_if_none_is_idle() -> None:
    echo = Echo()
    with running(handlers={"/echo": echo}, limits=Limits(connections=2)) as server:
        held = [server.connect() for _ in range(2)]
        for connection in held:
            connection.sendall(GET[:-2])
        eventually(lambda: all(each.idle_since is None for each in server.server._connections))
        eventually(lambda: count(server) == 2)
        answer = server.ask(b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After" in answer
        assert echo.refusals == 1
        for connection in held:
            connection.sendall(b"\r\n")
            assert received_until(connection, b"hello")
            connection.close()


def test_bodies_in_memory_are_limited_and_a_refused_handler_is_notified() -> None:
    echo = Echo(keeps=True)
    with running(handlers={"/echo": echo}, limits=Limits(buffered=150_000)) as server:
        with server.connect() as first:
            first.sendall(ECHO % 90_000 + bytes(90_000))
            eventually(lambda: echo.kept)
            answer = server.ask(ECHO % 90_000 + bytes(1_000))
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert echo.refusals == 1
            echo.release(server.loop)
            received_until(first, bytes(90_000))
        with server.connect() as second:
            second.sendall(ECHO % 90_000 + bytes(90_000))
            eventually(lambda: echo.kept)
        # It is still being handled, although its client is gone.
        assert server.server._buffered == 90_000
        echo.release(server.loop)
        eventually(lambda: server.server._buffered == 0)


def test_responses_are_sent_in_order() -> None:
    echo = Echo(keeps=True)
    with running(handlers={"/echo": echo}) as server, server.connect() as connection:
        connection.sendall(ECHO % 3 + b"one" + GET + b"nonsense")
        eventually(lambda: echo.kept)
        echo.release(server.loop)
        answer = received(connection)
    first, second, third = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert first.endswith(b"one")
    assert second.endswith(b"hello")
    assert third.startswith(b"501")


def test_client_that_stops_sending_gets_its_answer() -> None:
    echo = Echo(keeps=True)
    with running(handlers={"/echo": echo}) as server, server.connect() as connection:
        connection.sendall(ECHO % 3 + b"one")
        connection.shutdown(socket.SHUT_WR)
        eventually(lambda: echo.kept)
        echo.release(server.loop)
        assert received(connection).endswith(b"one")


def test_stopping_server_finishes_requests_and_closes_connections() -> None:
    echo = Echo(keeps=True)
    with running(handlers={"/echo": echo}) as server:  # noqa: SIM117 the server ends last
        with server.connect() as busy, server.connect() as half, server.connect() as idle:
            answered(idle)
            busy.sendall(ECHO % 3 + b"one")
            half.sendall(ECHO % 3 + b"t")
            eventually(lambda: echo.kept)
            eventually(lambda: count(server) == 3)
            server.stop()
            eventually(lambda: server.server.draining)
            # An idle connection may still be used for a moment.
            idle.sendall(GET)
            answer = received(idle)
            assert b"Connection: close" in answer
            assert answer.endswith(b"hello")
            assert not server.handlers_stopped.is_set()
            half.sendall(b"wo")
            eventually(lambda: len(echo.kept) == 2)
            echo.release(server.loop)
            for connection, body in ((busy, b"one"), (half, b"two")):
                answer = received(connection)
                assert b"Connection: close" in answer
                assert answer.endswith(body)
            assert server.handlers_stopped.wait(20)


def test_connections_that_were_not_accepted_yet_are_answered_when_the_server_stops() -> None:
    with running() as server:
        server.stop()
        waiting = []
        with contextlib.suppress(ConnectionRefusedError):
            for _ in range(1_000):
                connection = server.connect()
                connection.sendall(CLOSE)
                waiting.append(connection)
        answers = [received(connection) for connection in waiting]
        for connection in waiting:
            connection.close()
    assert all(answer.endswith(b"hello") for answer in answers)


def test_failing_handler_answers_500_and_the_connection_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Echo):
        def handle(self, request: Request, send: Send) -> None:
            raise ValueError

    with running(handlers={"/echo": Failing()}) as server, server.connect() as connection:
        connection.sendall(ECHO % 3 + b"one")
        assert received_until(connection, b"}").startswith(b"HTTP/1.1 500 ")
        assert answered(connection)
    assert "a request failed: ValueError" in caplog.text


def test_response_without_a_body_has_none() -> None:
    class Silent(Echo):
        def handle(self, request: Request, send: Send) -> None:
            send(Response(204, [], b"nothing of this"))

    with running(handlers={"/echo": Silent()}) as server:
        answer = server.ask(b"POST /echo HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in answer
