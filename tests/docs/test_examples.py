"""The examples in README and docs run against a real service."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{name}.md" for name in ("sensors", "operators", "recipients"))]
PAGES += ["docs/analysts.md", "docs/api.md", "docs/administrators.md"]

_NOT_HERE = ("make ", "docker-compose ", "monitor createsuperuser", "monitor channel test")
"""Commands that install, or need Docker, a terminal or the Internet."""

_BLOCK = re.compile(r"^```(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The examples of a page in this language."""
    found = _BLOCK.findall((ROOT / page).read_text())
    return [text for name, text in found if name == language]


def commands(page: str) -> list[str]:
    """The commands in a block, each with its continuation lines."""
    text = "\n".join(blocks(page, "sh")).replace(".venv/bin/monitor", "monitor")
    typed = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in typed if line and not line.startswith(_NOT_HERE)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("docs")) as running:
        running.ready()
        yield running


@pytest.mark.timeout(300)
def test_every_command_runs(service: Service, tmp_path: Path) -> None:
    """Runs the commands in the order of the pages: later ones build on earlier ones."""
    program = tmp_path / "monitor"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monitor "$@"\n')
    program.chmod(0o755)
    environment = service.environment | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MONITOR_ALERTS_ALLOW_INTERNAL": "true",
    }
    # An incident to acknowledge needs an outage, which takes longer than this test may.
    refused = {"monitor acknowledge 1 --by Anna", "monitor ledger --incident 1"}
    ran = 0
    for page in PAGES:
        for command in commands(page):
            here = command.replace("localhost:8000", f"127.0.0.1:{service.port}")
            if here.startswith("monitor simulate"):
                here = here.replace("--duration 300", f"--duration 2 --url {service.url}")
            done = subprocess.run(
                here,
                shell=True,
                cwd=tmp_path,
                env=environment,
                input="110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw\n",
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert (done.returncode == 0) != (command in refused), f"{page}: {command}\n{done}"
            ran += 1
    assert ran > 20


def test_python_example_runs(service: Service) -> None:
    (example,) = blocks("docs/sensors.md", "python")
    exec(example.replace("localhost:8000", f"127.0.0.1:{service.port}"), {})
    assert "02:00:00:00:00:00" in service.sensors()


def test_telegraf_example_is_valid() -> None:
    (example,) = blocks("docs/sensors.md", "toml")
    assert tomllib.loads(example)["outputs"]["http"][0]["method"] == "POST"
