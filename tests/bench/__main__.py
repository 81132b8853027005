"""Runs the benchmarks named on the command line, or the default ones."""

import argparse
import tempfile
import uuid
from pathlib import Path

from monitor.model import DAY
from monitor.store.influxdb import InfluxStore
from tests.bench import batch, clients, decision, grid, history, processes, single, sweep
from tests.bench.table import Row, show
from tests.influxd.server import Access, InfluxdServer, external_influxd, find_influxd

USUAL = ("processes", "single", "clients", "pages", "batch", "sweep", "decision", "grid")
BENCHES = (*USUAL, "million", "large", "history")
"""The names of the benchmarks; `large` is the grid with 100,000 sensors."""


def _store(access: Access) -> InfluxStore:
    name = uuid.uuid4().hex[:8]
    store = InfluxStore(
        access.url, access.org, access.token, f"beats-{name}", f"arrivals-{name}", 90 * DAY
    )
    store.migrate()
    return store


def _run(bench: str, directory: Path, access: Access | None) -> list[Row]:
    directory.mkdir()
    environment = {}
    if access:
        environment = {
            "INFLUXDB_V2_URL": access.url,
            "INFLUXDB_V2_ORG": access.org,
            "INFLUXDB_V2_TOKEN": access.token,
        }
    if bench == "single":
        return single.rows(directory, **environment)
    if bench == "clients":
        return clients.rows(directory, **environment)
    if bench == "pages":
        return clients.beside_pages(directory, **environment)
    if bench == "processes":
        return processes.rows(directory, **environment)
    if bench == "decision":
        return decision.rows(directory, **environment)
    if bench in ("grid", "large"):
        return grid.rows(directory, 10_000 if bench == "grid" else 100_000, **environment)
    if access is None:
        return []
    if bench == "batch":
        return batch.rows(directory, access, "heartbeats", **environment)
    if bench == "history":
        return history.rows(directory, access)
    return sweep.rows(directory, _store(access), 100_000 if bench == "sweep" else 1_000_000)


def main() -> None:
    """Print one table; without an influxd, only the benchmarks that do not need it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("bench", nargs="*", metavar=f"{{{','.join(BENCHES)}}}")
    chosen = parser.parse_args().bench or USUAL
    if not set(chosen) <= set(BENCHES):
        parser.error(f"choose from {', '.join(BENCHES)}")
    found, binary, rows = external_influxd(), find_influxd(), []
    with tempfile.TemporaryDirectory() as name:
        for bench in chosen:
            if found or binary is None:
                rows += _run(bench, Path(name) / bench, found)
            else:
                with InfluxdServer(binary, Path(name) / f"influxd-{bench}") as server:
                    rows += _run(bench, Path(name) / bench, server.access)
    show(rows)


if __name__ == "__main__":
    main()
