"""Slow and idle clients do not hinder others."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.running import received_until
from tests.service import Service

HALF, IDLE = 100, 1_000
PIECE = (
    b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)
MOST_MEMORY = 20_000
"""Bytes of a worker for each connection."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    rate = {"MONITOR_INGEST_RATE_PER_SENSOR": 1_000_000}
    with Service(tmp_path, **rate) as service:
        service.ready()
        yield service


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), 20)


def beat(connection: socket.socket) -> None:
    connection.sendall(
        b"GET /heartbeat?mac_address=02:00:00:00:00:01 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert received_until(connection, b"}").startswith(b"HTTP/1.1 200 ")


def memory(service: Service) -> int:
    """The memory of the workers, in bytes."""
    return sum(member.memory_full_info().uss for member in service.named("web"))


def test_slow_and_idle_clients_do_not_hinder_others_and_take_little_memory(
    service: Service,
) -> None:
    with connect(service) as warm:
        for _ in range(1_000):
            beat(warm)
    before = memory(service)
    with ExitStack() as held:
        for _ in range(IDLE):
            beat(held.enter_context(connect(service)))
        assert (memory(service) - before) / IDLE < MOST_MEMORY
        half = [held.enter_context(connect(service)) for _ in range(HALF)]
        slow = [held.enter_context(connect(service)) for _ in range(HALF)]
        for connection in half:
            connection.sendall(PIECE)
        kept = held.enter_context(connect(service))
        for turn in range(len(PIECE)):
            for connection in slow:
                connection.sendall(PIECE[turn : turn + 1])
            beat(kept)
            with connect(service) as fresh:
                beat(fresh)
