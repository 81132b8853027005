"""A state file that SQLite can't read gives an error with instructions; heartbeats are kept."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import requests

from monitor import cli
from monitor.errors import StateUnavailable
from monitor.state import sensors
from monitor.state.database import open_state, reading, writing
from monitor.state.migrating import migrate
from tests.service import Service
from tests.waiting import eventually

MAC = "02:00:00:00:00:01"


def garbage(file: Path) -> None:
    file.write_bytes(os.urandom(20_000))


def overwritten(file: Path) -> None:
    """Overwrites all but the first page."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(size - 4096))


def cut_off(file: Path) -> None:
    os.truncate(file, 9_000)


@pytest.mark.parametrize("damage", [garbage, overwritten, cut_off])
def test_error_names_the_damaged_file_and_the_remedy(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    file = tmp_path / "state.sqlite"
    engine = open_state(f"sqlite:///{file}")
    migrate(engine)
    damage(file)
    damaged = r"state\.sqlite is damaged \(.*restore a backup"
    with pytest.raises(StateUnavailable, match=damaged):
        list(sensors.newer(engine, 0))
    with pytest.raises(StateUnavailable, match=damaged), writing(engine) as connection:
        sensors.next_version(connection)


def test_error_for_a_state_without_tables_names_migrate(state_url: str) -> None:
    engine = open_state(state_url)
    with pytest.raises(StateUnavailable, match="`monitor migrate`"), reading(engine) as connection:
        sensors.current_version(connection)
    engine.dispose()


@pytest.mark.parametrize(
    "command",
    [
        ["migrate"],
        ["serve"],
        ["incidents"],
        ["ledger"],
        ["token", "list"],
        ["channel", "list"],
        ["user", "list"],
        ["sensor", "set", MAC, "--name", "Cellar"],
    ],
)
def test_every_command_fails_with_a_one_line_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path))
    garbage(tmp_path / "state.sqlite")
    assert cli.main(command) == 1
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert str(tmp_path / "state.sqlite") in error


@pytest.mark.timeout(180)
def test_running_service_keeps_heartbeats_and_answers_503(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.ready()
        service.beat(MAC)
        garbage(tmp_path / "data" / "state.sqlite")
        eventually(lambda: status(service, "/readyz") == 503)
        service.beat(MAC)
        for path in ("/", "/sensors", "/incidents", "/api/v1/incidents", f"/sensors/{MAC}"):
            eventually(partial(answers_503, service, path))
        assert status(service, "/metrics") == 200
        for waiting in ("delivery is waiting", "using the last copy", "sweep postponed"):
            eventually(partial(logs, service, waiting), 30)
    assert "Traceback" not in log_of(service)


def answers_503(service: Service, path: str) -> bool:
    return status(service, path) == 503


def logs(service: Service, text: str) -> bool:
    return text in log_of(service)


def status(service: Service, path: str) -> int:
    return requests.get(f"{service.url}{path}", timeout=20).status_code


def log_of(service: Service) -> str:
    return service.log.read_text("utf-8", "replace")
