"""The tests' own InfluxDB does what the store tests rely on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

from tests.influxd.server import (
    VERSION,
    Access,
    InfluxdServer,
    external_influxd,
    find_influxd,
    require_influxd,
)

POINT = "heartbeat,mac=02:00:00:00:00:00 received=1795395933000i 1795395933000"
QUERY = f'from(bucket: "{InfluxdServer.bucket}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[InfluxdServer]:
    with InfluxdServer(require_influxd(), tmp_path / "influxd") as running:
        yield running


def write(server: InfluxdServer) -> None:
    with (
        InfluxDBClient(server.url, server.token, org=server.org) as client,
        client.write_api(write_options=SYNCHRONOUS) as writer,
    ):
        writer.write(server.bucket, record=POINT, write_precision="ms")


def read(server: InfluxdServer) -> list[tuple[str, int]]:
    with InfluxDBClient(server.url, server.token, org=server.org) as client:
        tables = client.query_api().query(QUERY)
        return [(row["mac"], row.get_value()) for table in tables for row in table.records]


def test_acknowledged_point_survives_kill_and_the_token_still_works(server: InfluxdServer) -> None:
    write(server)
    assert read(server) == [("02:00:00:00:00:00", 1795395933000)]
    first = server.pid
    server.kill()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url + "/health", timeout=5)
    server.start()
    assert server.pid != first
    assert read(server) == [("02:00:00:00:00:00", 1795395933000)]


@pytest.mark.skipif("MONITOR_TEST_INFLUXD" in os.environ, reason="another binary was asked for")
def test_server_is_the_version_the_service_is_pinned_to(server: InfluxdServer) -> None:
    assert requests.get(server.url + "/health", timeout=5).json()["version"] == VERSION


def test_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.influxd.server import InfluxdServer\n"
        "server = InfluxdServer(Path(sys.argv[1]), Path(sys.argv[2])); server.start()\n"
        "print(server.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, require_influxd(), tmp_path],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while _is_running(int(ended.stdout)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(int(ended.stdout))


def _is_running(pid: int) -> bool:
    try:
        # A zombie that is not reaped counts as ended: where process 1 is not an init, it stays.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_external_server_is_all_three_variables_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "ORG", "TOKEN"):
        monkeypatch.delenv(f"INFLUXDB_V2_{name}", raising=False)
    assert external_influxd() is None
    monkeypatch.setenv("INFLUXDB_V2_URL", "http://influxdb:8086")
    monkeypatch.setenv("INFLUXDB_V2_ORG", "monitor")
    with pytest.raises(KeyError, match="INFLUXDB_V2_TOKEN"):
        external_influxd()
    monkeypatch.setenv("INFLUXDB_V2_TOKEN", "secret")
    assert external_influxd() == Access("http://influxdb:8086", "monitor", "secret")


def test_binary_named_but_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITOR_TEST_INFLUXD", os.devnull + "/none")
    with pytest.raises(FileNotFoundError, match="MONITOR_TEST_INFLUXD"):
        find_influxd()
