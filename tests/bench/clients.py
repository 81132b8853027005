"""A sensor's reply time among slow and idle clients, and beside pages and an export."""

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles

import psutil

from tests.bench.browsers import browsers
from tests.bench.grid import Fleet
from tests.bench.sender import TOKEN, beat, ninety_ninth
from tests.bench.table import RUNS, Row
from tests.service import Service

HALF_OPEN, SLOW, IDLE = 200, 200, 5_000
FLEET, EXPORTED = 10_000, 1_000_000
MOST_AMONG_SLOW, MOST_BESIDE_PAGES = 100, 50
"""Milliseconds."""
MOST_MEMORY, MOST_GROWTH = 20, 50
"""Kilobytes of a connection; megabytes of an export."""

_PIECE = 1_000_000
_SYNC_EVERY = 0.02
"""Seconds."""
_HALF = b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\n"


def _answered(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    answer = b""
    while not answer.endswith(b"}"):
        piece = connection.recv(4096)
        assert piece, answer
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200"), answer


def _open(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


@contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Half-open connections, and some that send a byte a second."""
    over = threading.Event()
    with ExitStack() as held:
        for _ in range(HALF_OPEN):
            held.enter_context(_open(port)).sendall(_HALF)
        slow = [held.enter_context(_open(port)) for _ in range(SLOW)]

        def send() -> None:
            turn = 0
            while not over.wait(1 / SLOW):
                byte = (_HALF + b"X-Slow: " + b"a" * 8_000)[turn // SLOW :][:1]
                try:
                    slow[turn % SLOW].sendall(byte)
                except OSError:  # timed out: the next one takes its place
                    slow[turn % SLOW] = held.enter_context(_open(port))
                turn += 1

        thread = threading.Thread(target=send)
        thread.start()
        yield
        over.set()
        thread.join()


@contextmanager
def idle_clients(port: int) -> Iterator[None]:
    """Kept-alive connections that have sent a heartbeat."""
    with ExitStack() as held:
        for number in range(IDLE):
            _answered(held.enter_context(_open(port)), beat(number))
        yield


def _workers(service: Service) -> int:
    """The memory (bytes) of all workers."""
    members = service.named("web")
    return sum(member.memory_info().rss for member in members)


@contextmanager
def _exporting(service: Service, growth: list[float]) -> Iterator[None]:
    """Run `monitor export` meanwhile and to its end; how much it grew (MB) after the first rows."""
    thread = threading.Thread(target=lambda: growth.append(_export(service)))
    thread.start()
    yield
    thread.join()


def _export(service: Service) -> float:
    command = [sys.executable, "-m", "monitor", "export"]
    with subprocess.Popen(command, env=service.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        member, first, most, count = psutil.Process(process.pid), 0, 0, 0
        while piece := process.stdout.read(_PIECE):
            count += piece.count(b"\n")
            now = member.memory_info().rss
            first, most = first or now, max(most, now)
    assert process.returncode == 0
    assert count > EXPORTED, count
    return (most - first) / 1e6


@contextmanager
def _syncing(directory: Path, results: list[float]) -> Iterator[None]:
    """Sync a file of its own meanwhile, as the ingest app does; the 99th percentile (ms)."""
    over, took = threading.Event(), []

    def sync() -> None:
        with (directory / "synced").open("ab", buffering=0) as file:
            while not over.wait(_SYNC_EVERY):
                file.write(bytes(200))
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                took.append((time.perf_counter() - began) * 1e3)

    thread = threading.Thread(target=sync)
    thread.start()
    yield
    over.set()
    thread.join()
    results.append(quantiles(took, n=100)[-1])


def rows(directory: Path, **environment: object) -> list[Row]:
    """Measure against the same server without those clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    variables = {"MONITOR_INGEST_TOKEN": TOKEN, "MONITOR_INGEST_RATE_PER_SENSOR": 1_000}
    with Service(directory, **variables, **environment) as service:
        service.ready()
        alone = [ninety_ninth(service.port) for _ in range(RUNS)]
        before = _workers(service)
        with idle_clients(service.port):
            memory = (_workers(service) - before) / IDLE / 1e3
            with slow_clients(service.port):
                among = [ninety_ninth(service.port) for _ in range(RUNS)]
    return [
        Row("p99 among slow and idle clients", "ms", among, alone, most=MOST_AMONG_SLOW),
        Row("memory of an idle connection", "KB", [memory], [MOST_MEMORY], most=MOST_MEMORY),
    ]


def beside_pages(directory: Path, **environment: object) -> list[Row]:
    """Measure beside browsers that poll a large grid and an export."""
    variables = {"MONITOR_INGEST_RATE_PER_SENSOR": 1_000_000, "MONITOR_INGEST_MAX_SENSORS": 20_000}
    with Service(directory, **variables, **environment) as service:
        service.ready()
        fleet = Fleet(service, FLEET)
        fleet.fill(EXPORTED // FLEET - 1)
        growth: list[float] = []
        results: list[list[float]] = [[], [], [], [], []]
        for _ in range(RUNS):
            alone, pages, export, both, disk = results
            alone.append(ninety_ninth(service.port))
            with browsers(service.url):
                pages.append(ninety_ninth(service.port))
            with _exporting(service, growth):
                export.append(ninety_ninth(service.port))
            with browsers(service.url), _exporting(service, growth), _syncing(directory, disk):
                both.append(ninety_ninth(service.port))
    what = "growth of an export of a million rows"
    return [
        Row("p99 beside ten grids", "ms", pages, alone),
        Row("p99 beside an export", "ms", export, alone),
        # No reply is faster than the sync that it waits for, and all share the disk with InfluxDB.
        Row(
            "p99 beside ten grids and an export; reference: a bare sync",
            "ms",
            both,
            disk,
            most=MOST_BESIDE_PAGES,
        ),
        Row(what, "MB", growth, [MOST_GROWTH], most=MOST_GROWTH),
    ]
