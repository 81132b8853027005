"""`monitor sensor`."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor import cli
from monitor.clock import Clock
from monitor.model import DAY, MINUTE, Heartbeat, format_time
from monitor.store.sqlite import SqliteStore
from tests.cases import Cases

MAC = "02:00:00:00:00:0a"


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run a command; return its standard output, or its standard error if `status` is not 0."""
    capsys.readouterr()
    assert cli.main(["sensor", *arguments]) == status
    printed = capsys.readouterr()
    return printed.err if status else printed.out


def test_sensors_are_listed_by_address_and_found_by_words(
    state: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = Cases(state)
    cases.sensor(1, name="Boiler\x1b[2J", site="Harbour")
    cases.incident(1, cases.group())
    run(capsys, "set", MAC, "--label", "floor=3", "--threshold", "5m", "--paused", "yes")
    assert run(capsys, "list").splitlines() == [
        "MAC ADDRESS        NAME        SITE     LABELS   THRESHOLD  STATE",
        "00:00:00:00:00:01  Boiler [2J  Harbour  -        10 min     down",
        "02:00:00:00:00:0a  -           -        floor=3  5 min      paused",
    ]
    (found,) = map(json.loads, run(capsys, "list", "harb", "--json").splitlines())
    assert found == {
        "mac_address": "00:00:00:00:00:01",
        "name": "Boiler\x1b[2J",
        "site": "Harbour",
        "labels": {},
        "threshold_seconds": 600,
        "state": "down",
    }


def test_sensor_is_shown_with_its_last_heartbeat(
    state: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = Clock().now()
    store = SqliteStore(tmp_path / "heartbeats.sqlite", 90 * DAY, writable=True)
    store.migrate()
    store.append([Heartbeat(0x02000000000A, now - MINUTE, now - MINUTE, metrics={"battery": 3.1})])
    store.close()
    run(capsys, "set", MAC, "--name", "Cellar", "--threshold", "90s")
    shown = run(capsys, "show", MAC)
    assert "name: Cellar\n" in shown
    assert "threshold: 1 min 30 s\n" in shown
    assert "battery: 3.1\n" in shown
    data = json.loads(run(capsys, "show", MAC, "--json"))
    assert data["last_heartbeat"] == format_time(now - MINUTE)
    assert (data["metrics"], data["threshold_seconds"]) == ({"battery": 3.1}, 90)


def test_sensor_is_deleted(state: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "set", MAC, "--name", "Cellar")
    assert run(capsys, "delete", MAC) == f"{MAC} is deleted\n"
    assert len(run(capsys, "list").splitlines()) == 1
    for action in ("show", "delete"):
        assert f"there is no sensor {MAC}" in run(capsys, action, MAC, status=1)
