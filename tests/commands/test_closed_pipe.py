"""Commands whose reader closes the pipe early, as `head` does."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.model import DAY, Heartbeat
from monitor.state import sensors
from monitor.state.database import writing
from monitor.store.sqlite import SqliteStore
from tests.cases import NOW, Cases

MANY = 20_000


def check(*arguments: str, first: bytes) -> None:
    """Reads the first line of a command and closes the pipe: no error may follow."""
    command = [sys.executable, "-m", "monitor", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(first)
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)


@pytest.mark.usefixtures("state")
def test_export_ends_without_an_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "heartbeats.sqlite", 90 * DAY, writable=True)
    store.migrate()
    store.append([Heartbeat(1, NOW + n, NOW + n) for n in range(MANY)])
    store.close()
    check("export", "--sensor", "00:00:00:00:00:01", first=b"time,")


@pytest.mark.parametrize("form", ["table", "json"])
def test_list_ends_without_an_error(state: Engine, form: str) -> None:
    with writing(state) as connection:
        sensors.register(connection, [(mac, NOW, True) for mac in range(1, MANY)], 1)
    options, first = (["--json"], b"{") if form == "json" else ([], b"MAC ADDRESS")
    check("sensor", "list", *options, first=first)


def test_ledger_ends_without_an_error(state: Engine) -> None:
    cases = Cases(state)
    group = cases.group()
    for mac in range(1, 200):
        cases.sensor(mac, name="x" * 200, site="y" * 200)
        cases.message(group, [cases.incident(mac, group)])
    check("ledger", "--json", first=b"{")
