"""Commands started where there is no data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def start(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MONITOR_", "INFLUXDB_"))
    }
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["sensor", "list"],
        ["token", "create", "roof"],
        ["channel", "list"],
        ["incidents"],
        ["export"],
        ["createsuperuser", "--name", "Anna"],
    ],
)
def test_command_says_so_and_leaves_no_directory(tmp_path: Path, arguments: list[str]) -> None:
    done = start(tmp_path, str(BIN / "monitor"), *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"monitor {arguments[0]}: there is no data in {tmp_path / 'data'}; "
    )
    assert list(tmp_path.iterdir()) == []


def test_check_config_leaves_no_directory(tmp_path: Path) -> None:
    assert start(tmp_path, str(BIN / "monitor"), "check-config").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_hint_names_the_command_as_it_is_started_here(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("")
    done = start(tmp_path, str(BIN / "monitor"), "--config", "site.toml", "token", "list")
    assert f"`{BIN / 'monitor'} --config site.toml serve`" in done.stderr


def test_hint_is_short_where_the_command_is_on_the_path(tmp_path: Path) -> None:
    done = start(tmp_path, "env", f"PATH={BIN}:{os.environ['PATH']}", "monitor", "token", "list")
    assert "`monitor serve`" in done.stderr
