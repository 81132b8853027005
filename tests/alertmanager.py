"""A real Prometheus Alertmanager for the tests, on loopback ports, telling a webhook."""

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

_PROGRAMS = ("prometheus-alertmanager", "alertmanager")  # Debian's name, and its makers'
_START_SECONDS = 20.0


class Alertmanager:
    """A running server and the webhook it tells."""

    def __init__(self, url: str, hook: Receiver) -> None:
        self.url, self._hook = url, hook

    def told(self) -> list[dict[str, Any]]:
        """All its webhook calls so far: a group of alerts each, with `status` and `groupLabels`."""
        return [json.loads(request.body) for request in list(self._hook.requests)]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds as active."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{self.url}/api/v2/alerts?active=true", timeout=5)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


def require_alertmanager() -> str:
    """The program; without it skip the test, or fail it where CI=true."""
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
    """A server of its own, not in a cluster, that gathers for a moment and then tells `hook`."""
    receiver = {"name": "hook", "webhook_configs": [{"url": hook.url, "send_resolved": True}]}
    route = {"receiver": "hook", "group_by": list(group_by), "repeat_interval": "1h"}
    route |= {"group_wait": "200ms", "group_interval": "500ms"}
    config, log = directory / "alertmanager.yml", directory / "alertmanager.log"
    config.write_text(json.dumps({"route": route, "receivers": [receiver]}))  # JSON is YAML
    program, port = require_alertmanager(), free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Alertmanager(f"http://127.0.0.1:{port}", hook)
    try:
        eventually(lambda: _ready(server, process, log), _START_SECONDS)
        yield server
    finally:
        process.kill()
        process.wait()


def _ready(server: Alertmanager, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"Alertmanager ended: {log.read_text(errors='replace')[-2000:]}")
    try:
        return server.alerts() == []
    except requests.RequestException:
        return False
