"""The units in config/, checked by systemd itself, and against the program."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import settings
from monitor.cli import build_parser
from tests.service import environment_of

CONFIG = Path(__file__).parents[2] / "config"
SERVICE = (CONFIG / "monitor.service").read_text()
PROGRAM = "/opt/monitor/bin/monitor"


def with_examples(unit: str) -> str:
    """The unit with the settings in its comments."""
    return re.sub(r"^#(\w+=)", r"\1", unit, flags=re.M)


def value(name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", SERVICE, re.M)
    return str(found)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd is not installed")
        pytest.skip("systemd is not installed")
    program = tmp_path / "monitor"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = with_examples(SERVICE).replace(PROGRAM, str(program))
    (tmp_path / "monitor.service").write_text(unit)
    shutil.copy(CONFIG / "monitor.socket", tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "./monitor.service", "./monitor.socket"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_command_accepts_the_example_settings_in_an_empty_directory(tmp_path: Path) -> None:
    program, *arguments = shlex.split(value("ExecStart"))
    assert program == PROGRAM
    assert build_parser().parse_args(arguments).command == "serve"
    here = [
        str(CONFIG / "monitor.example.toml") if each.endswith(".toml") else each
        for each in arguments
    ]
    environment = environment_of(tmp_path, 8000)
    del environment["MONITOR_DATA_DIRECTORY"]
    here[here.index("serve")] = "check-config"
    subprocess.run(
        [sys.executable, "-m", "monitor", *here], cwd=tmp_path, env=environment, check=True
    )


def test_each_variable_is_a_setting() -> None:
    named = re.findall(r"^Environment=(\w+)=", with_examples(SERVICE), re.M)
    secrets = {f"{each}_FILE" for each in settings.secret_variables()}
    assert named
    assert set(named) <= settings.variables() | secrets


def test_socket_listens_where_the_service_listens_by_default() -> None:
    default = settings.Settings().server.listens_on
    assert f"\nListenStream={default}\n" in (CONFIG / "monitor.socket").read_text()


def test_service_has_longer_to_stop_than_its_processes() -> None:
    from monitor.supervisor import _STOP_TIMEOUT

    assert int(value("TimeoutStopSec")) > _STOP_TIMEOUT
    assert value("KillMode") == "mixed"
