"""The time of `--help`, the start time of `monitor serve`, and its memory when idle."""

import resource
import subprocess
import sys
import time
from pathlib import Path

import requests

from tests.bench.table import RUNS, Row
from tests.service import Service
from tests.waiting import eventually

SETTLE = 10.0
"""Seconds after the start until the service counts as idle."""


def rows(directory: Path, **influxdb: object) -> list[Row]:
    """Measure against a bare interpreter where possible. `influxdb`: its variables, or none."""
    help_text = [_cpu("-m", "monitor", "--help") for _ in range(RUNS)]
    bare = [_cpu("-c", "pass") for _ in range(RUNS)]
    found = [Row("CPU of `monitor --help` (bare: python -c pass)", "s", help_text, bare, most=0.3)]
    stores = {"SQLite": (250, {}), **({"InfluxDB": (280, influxdb)} if influxdb else {})}
    for store, (most, variables) in stores.items():
        place = directory / store
        place.mkdir()
        starts = [_started(place, variables)[0] for _ in range(RUNS)]
        _, memory = _started(place, variables, SETTLE)
        found.append(
            Row(f"`monitor serve` until the grid answers, {store}", "s", starts, [3], most=3)
        )
        found.append(Row(f"PSS of all processes, idle, {store}", "MB", [memory], [most], most=most))
    return found


def _cpu(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _started(
    directory: Path, variables: dict[str, object], idle: float = 0.0
) -> tuple[float, float]:
    """Seconds until the grid answers, and the memory in MB after `idle` seconds."""
    began = time.monotonic()
    with Service(directory, **variables) as service:
        eventually(lambda: _answers(service.url), 60)
        took = time.monotonic() - began
        time.sleep(idle)
        pss = sum(member.memory_full_info().pss for member in service.family())
    return took, pss / 1024**2


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False
