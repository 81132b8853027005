"""What clients get from a server that stops."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.server.connection import Connection
from monitor.server.listener import refuse_silently
from tests.certificates import server_context
from tests.server.running import LIMITS, PATIENCE, Echo, Running, received, received_until, running
from tests.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"


def on_loop(server: Running, act: Callable[[], None]) -> None:
    """Run something between two rounds of the server's event loop."""
    done = threading.Event()

    def run() -> None:
        act()
        done.set()

    server.loop.call_soon_threadsafe(run)
    assert done.wait(PATIENCE)


def only_connection(server: Running) -> Connection:
    [connection] = server.server._connections
    return connection


def test_request_that_arrives_as_its_connection_expires_is_answered() -> None:
    with running() as server, server.connect() as client:
        client.sendall(GET)
        received_until(client, b"hello")
        eventually(lambda: only_connection(server).idle_since is not None)

        def expire() -> None:
            client.sendall(GET)
            server.now += LIMITS.idle_timeout + 1
            server.server.tick()

        on_loop(server, expire)
        assert received_until(client, b"hello").startswith(b"HTTP/1.1 200 ")


def test_request_that_arrives_as_a_stopping_server_closes_its_connection_is_answered() -> None:
    with running() as server, server.connect() as client:
        client.sendall(GET)
        received_until(client, b"hello")
        server.stop()
        eventually(lambda: server.server.draining)

        def end() -> None:
            client.sendall(GET)
            server.now += LIMITS.drain + 1
            server.server.tick()
            only_connection(server).end()

        on_loop(server, end)
        answer = received(client)
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b"hello")


def test_new_connection_has_time_for_a_request_though_the_server_stops() -> None:
    with running() as server, server.connect() as busy, server.connect() as client:
        busy.sendall(GET[:-2])  # keeps the server running
        eventually(lambda: len(server.server._connections) == 2)
        server.stop()
        eventually(lambda: server.server.draining)

        def look() -> None:
            for connection in server.server._connections:
                if connection.idle_since is not None:
                    connection.idle_since = server.now + LIMITS.drain
            server.now += 1.5 * LIMITS.drain
            server.server.tick()
            for connection in server.server._connections:
                connection.end()

        on_loop(server, look)
        client.sendall(GET)
        assert received(client).endswith(b"hello")


def test_stopping_server_answers_all_requests_that_it_has_read() -> None:
    echo = Echo(keeps=True)
    with running(handlers={"/echo": echo}) as server, server.connect() as client:
        client.sendall(ECHO + GET)
        eventually(lambda: echo.kept)
        server.stop()
        eventually(lambda: server.server.draining)
        echo.release(server.loop)
        first, last = received(client).split(b"HTTP/1.1 ")[1:]
    assert first.endswith(b"one")
    assert b"Connection: close" not in first
    assert last.endswith(b"hello")
    assert b"Connection: close" in last


def test_second_signal_ends_the_wait_for_requests() -> None:
    echo = Echo(keeps=True)
    with running(handlers={"/echo": echo}) as server, server.connect() as client:
        client.sendall(ECHO)
        eventually(lambda: echo.kept)
        draining = server.server.drain(PATIENCE, lambda: False)
        asyncio.run_coroutine_threadsafe(draining, server.loop).result(PATIENCE)
        asyncio.run_coroutine_threadsafe(server.server.close(), server.loop).result(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            assert received(client) == b""
        assert server.handlers_stopped.is_set()


def test_abort_ends_pages_whose_client_does_not_read() -> None:
    sent, closed = threading.Event(), threading.Event()

    def endless(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield bytes(100_000)
                sent.set()
        finally:
            closed.set()

    with running(pages=endless) as server, server.connect() as client:
        client.sendall(GET)
        assert sent.wait(PATIENCE)
        asyncio.run_coroutine_threadsafe(server.server.close(), server.loop).result(PATIENCE)
        assert closed.is_set()


@pytest.fixture
def tls(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and one of its clients."""
    client = ssl.create_default_context(cafile=str(certificate))
    return server_context(certificate), client


def drain_with_clients_that_wait(server: Running, count: int) -> list[socket.socket]:
    """Stop the server when clients have connected, and it has not accepted them yet."""
    clients: list[socket.socket] = []
    tasks = []

    def begin() -> None:
        clients.extend(server.connect() for _ in range(count))
        draining = server.server.drain(PATIENCE)
        draining.send(None)  # up to the first pause: the loop accepts no more
        tasks.append(server.loop.create_task(draining))

    on_loop(server, begin)
    return clients


def test_clients_without_a_handshake_do_not_delay_others(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with running(context=tls[0]) as server:
        *silent, failing, client = drain_with_clients_that_wait(server, 5)
        failing.sendall(b"no handshake")
        with tls[1].wrap_socket(client, server_hostname="127.0.0.1") as secure:
            secure.sendall(GET)
            answer = received(secure)
        for each in (*silent, failing):
            each.close()
    assert answer.endswith(b"hello")
    assert b"Connection: close" in answer


@pytest.fixture
def listeners() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that listen on one port."""
    with (
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as first,
        socket.create_server(first.getsockname(), reuse_port=True) as second,
    ):
        yield first, second


def test_clients_reach_the_other_listener_when_one_stops(
    listeners: tuple[socket.socket, socket.socket],
) -> None:
    first, second = listeners
    address = first.getsockname()
    with contextlib.ExitStack() as resources:

        def connect() -> None:
            client = resources.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)

        def accept(listener: socket.socket) -> int:
            listener.setblocking(False)
            for count in itertools.count():
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    return count
                resources.enter_context(connection)
            raise AssertionError

        for _ in range(20):
            connect()
        refuse_silently(first)
        for _ in range(20):
            connect()
        accepted = [accept(first), accept(second)]
        # The kernel chooses a listener by the client's port.
        assert 20 <= sum(accepted) < 40
        assert accepted[0] <= 20
        first.close()

        def all_accepted() -> bool:
            # TCP tries again after a second.
            accepted[1] += accept(second)
            return sum(accepted) == 40

        eventually(all_accepted)
