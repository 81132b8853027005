"""A sensor's reply time among slow and idle clients, and beside pages and an export."""

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
import requests

from monitor.model import format_mac
from tests.bench.grid import Fleet
from tests.bench.table import RUNS, Row
from tests.service import Service

HALF_OPEN, SLOW, IDLE = 200, 200, 5_000
BROWSERS, SENSORS, EXPORTED = 10, 10_000, 1_000_000
SECONDS, RATE = 10, 500
MOST_AMONG_SLOW, MOST_BESIDE_PAGES = 100, 50
"""Milliseconds."""
MOST_MEMORY, MOST_GROWTH = 20, 50
"""Kilobytes of a connection; megabytes of an export."""

_TOKEN = "bench-" + "0" * 40
_HALF = b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\n"
_GET = (
    b"GET /heartbeat?mac_address=%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
)


def _beat(number: int) -> bytes:
    return _GET % (format_mac(0x02_00_00_10_00_00 + number).encode(), _TOKEN.encode())


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


def ninety_ninth(port: int) -> float:
    """The 99th percentile of the reply times (ms) at `RATE`, counted from when each was due."""
    took, begin = [], time.perf_counter()
    with ExitStack() as connections:
        kept = connections.enter_context(_open(port))
        for turn in range(SECONDS * RATE):
            due = begin + turn / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            if turn % 10:
                _answered(kept, _beat(turn % 1_000))
            else:
                with _open(port) as fresh:
                    _answered(fresh, _beat(turn % 1_000))
            took.append((time.perf_counter() - due) * 1e3)
    return quantiles(took, n=100)[-1]


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
            _answered(held.enter_context(_open(port)), _beat(number))
        yield


def _workers(service: Service) -> int:
    """The memory (bytes) of all workers."""
    members = service.named("web")
    return sum(member.memory_info().rss for member in members)


@contextmanager
def browsers(url: str) -> Iterator[None]:
    """Poll the grid every 5 s each, as browsers do."""
    over = threading.Event()

    def poll(number: int) -> None:
        session, since = requests.Session(), ""
        over.wait(number * 5 / BROWSERS)
        while not over.is_set():
            answer = session.get(f"{url}/sensors", params={"since": since} if since else {})
            since = answer.json()["cursor"]
            over.wait(5)

    threads = [threading.Thread(target=poll, args=(number,)) for number in range(BROWSERS)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


def _export(service: Service, growth: list[float], lines: list[int]) -> None:
    """Run `monitor export`; its number of rows, and how much it grew (MB) after the first ones."""
    command = [sys.executable, "-m", "monitor", "export"]
    with subprocess.Popen(command, env=service.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        member, first, most, count = psutil.Process(process.pid), 0, 0, 0
        for _ in process.stdout:
            count += 1
            if count % 20_000 == 0:
                now = member.memory_info().rss
                first, most = first or now, max(most, now)
    growth.append((most - first) / 1e6)
    lines.append(count - 1)


def rows(directory: Path, **environment: object) -> list[Row]:
    """Measure against the same server without those clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    variables = {"MONITOR_INGEST_TOKEN": _TOKEN, "MONITOR_INGEST_RATE_PER_SENSOR": 1_000}
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
        fleet = Fleet(service, SENSORS)
        fleet.fill(EXPORTED // SENSORS - 1)
        alone = [ninety_ninth(service.port) for _ in range(RUNS)]
        growth: list[float] = []
        lines: list[int] = []
        measured = []
        for _ in range(RUNS):
            export = threading.Thread(target=_export, args=(service, growth, lines))
            with browsers(service.url):
                export.start()
                measured.append(ninety_ninth(service.port))
            export.join()
        assert min(lines) >= EXPORTED, lines
    return [
        Row("p99 beside ten grids and an export", "ms", measured, alone, most=MOST_BESIDE_PAGES),
        Row("growth of an export of a million rows", "MB", growth, [MOST_GROWTH], most=MOST_GROWTH),
    ]
