"""The whole service as a user runs it: `python -m monitor serve` in a directory of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil
import requests

from tests.ports import free_port
from tests.waiting import eventually


def environment_of(directory: Path, port: int, **variables: object) -> dict[str, str]:
    """The environment of a service with its data in `directory`; values become text."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MONITOR_", "INFLUXDB_"))
    }
    own = {
        "MONITOR_DATA_DIRECTORY": directory / "data",
        "MONITOR_SERVER_PORT": port,
        "MONITOR_SERVER_BASE_URL": f"http://127.0.0.1:{port}",
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
    return inherited | {name: str(value) for name, value in own.items()}


class Service:
    """A running `monitor serve`, or one of its processes; output goes to a file."""

    def __init__(
        self,
        directory: Path,
        *command: str,
        **variables: object,
    ) -> None:
        self.directory = directory
        self.port = int(str(variables.get("MONITOR_SERVER_PORT", 0))) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = command or ("serve",)
        self.python = sys.executable
        self.module = "monitor"
        self.environment = environment_of(directory, self.port, **variables)
        self.log = directory / f"{self.command[0]}.log"
        self.stdin: int = subprocess.DEVNULL
        self.working_directory = Path(__file__).parent.parent
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the service without waiting until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", self.module, *self.command],
                env=self.environment,
                stdin=self.stdin,
                stdout=log,
                stderr=log,
                cwd=self.working_directory,
            )

    def stop(self) -> None:
        """Send SIGTERM; after a timeout send SIGKILL to all its processes."""
        if self.process is None:
            return
        family = self.family()
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            for member in family:
                if member.is_running():
                    member.kill()
            raise AssertionError(f"did not stop: {self.tail()}") from None

    def family(self) -> list[psutil.Process]:
        """This process and all its descendants."""
        assert self.process is not None
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def named(self, command: str) -> list[psutil.Process]:
        """The processes of one `monitor` command, oldest first."""
        return [member for member in self.family() if command in _arguments(member)]

    def kill(self) -> None:
        """Send SIGKILL to every process."""
        for member in self.family():
            if member.is_running():
                member.send_signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def ready(self, seconds: float = 60.0) -> None:
        """Wait until /readyz answers 200."""
        eventually(self._is_ready, seconds)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.tail()
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def beat(self, mac: str, **extra: Any) -> dict[str, Any]:
        """Send one heartbeat; the reply."""
        answer = requests.post(
            f"{self.url}/heartbeat", json={"mac_address": mac, **extra}, timeout=10
        )
        assert answer.status_code == 200, answer.text
        reply: dict[str, Any] = answer.json()
        return reply

    def sensors(self) -> Mapping[str, dict[str, Any]]:
        """mac_address -> entry of GET /sensors."""
        answer = requests.get(f"{self.url}/sensors", timeout=10)
        assert answer.status_code == 200, answer.text
        return {entry["mac_address"]: entry for entry in answer.json()["sensors"]}

    def tail(self) -> str:
        """The end of the output."""
        return self.log.read_text("utf-8", "replace")[-4000:]


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # dead, maybe not reaped yet
        return []
