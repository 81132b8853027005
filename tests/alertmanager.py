"""A real Prometheus Alertmanager on loopback ports that calls a webhook."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.ports import free_port
from tests.receiver import Receiver
from tests.waiting import eventually

_PROGRAMS = ("prometheus-alertmanager", "alertmanager")  # the name in Debian, and upstream
_START_SECONDS = 20.0


class Alertmanager:
    """A running server and the webhook that it calls."""

    def __init__(self, directory: Path, hook: Receiver) -> None:
        self._directory, self._hook = directory, hook
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = self._directory / "alertmanager.log"
        with log.open("wb") as output:
            process = self._process = subprocess.Popen(
                [
                    require_alertmanager(),
                    f"--config.file={self._directory / 'alertmanager.yml'}",
                    f"--storage.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--cluster.listen-address=",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: _ready(self, process, log), _START_SECONDS)

    def kill(self) -> None:
        """Kill the server with SIGKILL, and delete its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory / "data", ignore_errors=True)

    def webhook_calls(self) -> list[dict[str, Any]]:
        """The webhook calls so far: one group of alerts each, with `status` and `groupLabels`."""
        return [json.loads(request.body) for request in list(self._hook.requests)]

    def alerts(self) -> list[dict[str, Any]]:
        """The active alerts."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{self.url}/api/v2/alerts?active=true", timeout=5)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


def require_alertmanager() -> str:
    """The path of the program. Without it the test is skipped, or fails where CI=true."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        reason = "no Alertmanager: install Debian's prometheus-alertmanager"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def alertmanager(
    directory: Path, hook: Receiver, group_by: Sequence[str] = ("alertname", "site")
) -> Iterator[Alertmanager]:
    """A single server that groups alerts for a moment and then calls `hook`."""
    receiver = {"name": "hook", "webhook_configs": [{"url": hook.url, "send_resolved": True}]}
    route = {"receiver": "hook", "group_by": list(group_by), "repeat_interval": "1h"}
    route |= {"group_wait": "200ms", "group_interval": "500ms"}
    # JSON is YAML.
    config = json.dumps({"route": route, "receivers": [receiver]})
    (directory / "alertmanager.yml").write_text(config)
    server = Alertmanager(directory, hook)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _ready(server: Alertmanager, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"Alertmanager ended: {log.read_text(errors='replace')[-2000:]}")
    try:
        return server.alerts() == []
    except requests.RequestException:
        return False
