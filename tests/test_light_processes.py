"""Each command and process imports only what it needs, to start quickly and use little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from monitor import cli
from monitor.ingest import status
from tests.ports import free_port
from tests.service import Service
from tests.waiting import eventually

_LIST = "import json, sys; print(json.dumps(sorted(sys.modules)))"
_HEAVY = {
    "aiohttp",
    "alembic",
    "apscheduler",
    "argon2",
    "authlib",
    "cryptography",
    "flask",
    "gunicorn",
    "influxdb_client",
    "requests",
    "rich",
    "sqlalchemy",
}


def imported(statement: str) -> set[str]:
    """The heavy packages that a new interpreter has imported after the statement."""
    command = [sys.executable, "-c", f"{statement}\n{_LIST}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return _HEAVY.intersection(json.loads(done.stdout.splitlines()[-1]))


def test_help_text_imports_no_library() -> None:
    statement = "import contextlib, monitor.cli\nwith contextlib.suppress(SystemExit):"
    assert imported(f"{statement}\n    monitor.cli.main(['--help'])\n") == set()


def test_supervisor_imports_no_library() -> None:
    assert imported("import monitor.supervisor") == set()


@pytest.mark.parametrize(
    ("process", "needs"),
    [
        ("scheduler", {"apscheduler", "cryptography", "requests", "sqlalchemy"}),
        ("notifier", {"cryptography", "requests", "sqlalchemy"}),
        ("shipper", set()),
        ("web", {"argon2", "cryptography", "flask", "gunicorn", "requests", "sqlalchemy"}),
    ],
)
def test_process_imports_only_what_it_needs(process: str, needs: set[str]) -> None:
    assert imported(f"import monitor.bootstrap.{process}") == needs


def test_running_workers_share_what_was_imported_and_the_shipper_stays_small(
    tmp_path: Path,
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    influxdb = dict.fromkeys(("INFLUXDB_V2_ORG", "INFLUXDB_V2_TOKEN"), "x")
    with Service(tmp_path, "web", INFLUXDB_V2_URL=nowhere, **influxdb) as service:
        eventually(lambda: len(_listening(service)) == 2 and service.named("shipper"), 60)
        for worker in _listening(service):
            memory = worker.memory_full_info()
            assert memory.uss < memory.rss / 2
        (shipper,) = service.named("shipper")
        # Its thread runs, so all that it needs at its start has been imported.
        eventually((tmp_path / "data" / status.FILE).exists, 60)
        assert not [each.path for each in shipper.memory_maps() if "cryptography" in each.path]


def _listening(service: Service) -> list[psutil.Process]:
    """The workers that accept connections. The first process is gunicorn's own."""
    return [
        worker
        for worker in service.named("web")[1:]
        if any(each.status == psutil.CONN_LISTEN for each in worker.net_connections("tcp"))
    ]


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_is_registered(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert cli.COMMANDS[command][1].casefold() in printed.casefold()


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("monitor 0.")


def test_settings_file_may_have_the_name_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path / "data"))
    Path("token").write_text("")
    assert cli.main(["--config", "token", "check-config"]) == 0


def test_options_of_serve_reach_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in cli.OVERRIDES.values():
        monkeypatch.setenv(variable, "9")
    replaced: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _program, arguments: replaced.append(arguments))
    options = ["--host", "127.0.0.1", "--port", "8123", "--data", str(tmp_path)]
    assert cli.main(["serve", *options]) == 0
    assert [os.environ[variable] for variable in cli.OVERRIDES.values()] == options[1::2]
    assert replaced == [[sys.executable, "-m", "monitor.supervisor", "info", "text"]]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--port", "http"], "--port: "),
        (["--port", "70000"], "--port: "),
    ],
)
def test_wrong_option_of_serve_is_named(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in cli.OVERRIDES.values():
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    assert cli.main(["serve", "--data", str(tmp_path), *arguments]) == 1
    assert problem in capsys.readouterr().err
