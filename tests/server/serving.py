"""`monitor web` on migrated data, and curl to reach it in any way."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tests.service import Service
from tests.waiting import eventually

MAC = "02:00:00:00:00:01"
BEAT = ("--data", json.dumps({"mac_address": MAC}))
SECRET = "0123456789abcdef" * 2


def curl(url: str, *options: str) -> tuple[int, str]:
    """The status and the body of the response; 0 if there is none."""
    if shutil.which("curl") is None:
        missing("curl is not installed")
    command = ["curl", "-sS", "-m", "20", "-w", "%{stderr}%{http_code}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stderr[-3:] or 0), done.stdout


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def web(directory: Path, url: str, *options: str, **variables: object) -> Iterator[Service]:
    """Run `monitor web` until the end of the block. Starts when it answers at this URL; `{port}` in
    it is replaced. `options`: of curl."""
    service = Service(directory, "web", **variables)
    monitor(service, "migrate")
    service.url = url.format(port=service.port)
    with service:
        until_it_answers(service, *options)
        yield service


def until_it_answers(service: Service, *options: str) -> None:
    def answers() -> bool:
        assert service.process is not None
        assert service.process.poll() is None, service.tail()
        return curl(f"{service.url}/healthz", *options)[0] == 200

    eventually(answers, every=0.1)


def monitor(service: Service, *command: str) -> subprocess.CompletedProcess[str]:
    """Run another command with the settings of the service."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *command],
        env=service.environment,
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
