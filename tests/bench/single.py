"""Single heartbeats per second through the ingest app, against a minimal WSGI app."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import requests

from tests.bench.table import Row, alternate
from tests.ports import free_port
from tests.service import Service
from tests.waiting import eventually

SECONDS = 6
GOALS = {"keep": 2.5, "close": 1.7}
SYNCED = 0.85
"""Of the rate without a sync for each reply."""
SCRIPT = Path(__file__).with_name("ingest.lua")


@contextmanager
def bare() -> Iterator[int]:
    """Run the reference server; its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.bare", str(port)])
    try:
        eventually(lambda: _answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return requests.post(f"http://127.0.0.1:{port}/", timeout=2).status_code == 204
    except requests.ConnectionError:
        return False


def rate(port: int, token: str, mode: str, allowed_errors: int = 0) -> float:
    """Requests per second answered with 2xx, measured by wrk."""
    wrk = shutil.which("wrk")
    assert wrk, "wrk is needed (Debian's package of that name)"
    url = f"http://127.0.0.1:{port}"
    output = subprocess.run(
        [wrk, "-t1", "-c64", f"-d{SECONDS}s", "-s", str(SCRIPT), url, "--", token, mode],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    result = next(line for line in output.splitlines() if line.startswith("RESULT"))
    count, microseconds, errors, _ = map(int, result.split()[1:])
    assert errors <= allowed_errors, output
    return count / (microseconds / 1e6)


def rows(directory: Path, **environment: object) -> list[Row]:
    """Measure kept-alive and single-request connections, with token check and shipper; and what
    syncing to disk before each reply costs."""
    token = "bench-" + "0" * 40
    variables = {"MONITOR_INGEST_TOKEN": token, **environment}
    measured = []
    with Service(directory, **variables) as service, bare() as reference:
        service.ready()
        for mode, what in (("keep", "kept-alive connections"), ("close", "one connection each")):
            results, reference_results = alternate(
                partial(rate, service.port, token, mode), partial(rate, reference, token, mode)
            )
            name = f"single ingest, {what}"
            measured.append(Row(name, "/s", results, reference_results, least_ratio=GOALS[mode]))
        (directory / "interval").mkdir()
        with Service(
            directory / "interval", MONITOR_INGEST_FSYNC="interval", **variables
        ) as unsynced:
            unsynced.ready()
            results, reference_results = alternate(
                partial(rate, service.port, token, "keep"),
                partial(rate, unsynced.port, token, "keep"),
            )
    name = "single ingest, synced before each reply or every second"
    return [*measured, Row(name, "/s", results, reference_results, least_ratio=SYNCED)]
