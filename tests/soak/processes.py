"""Two of each process, killed at random and restarted as systemd would."""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.service import Service

COMMANDS = ("web", "scheduler", "notifier")
_RESTART_AFTER = 1.0


class Processes:
    """`web`, `scheduler` and `notifier` on each of two hosts, which are two directories."""

    def __init__(self, directory: Path, variables: Mapping[str, object]) -> None:
        self._services: list[Service] = []
        for host in ("a", "b"):
            own = directory / host
            own.mkdir()
            self._services += [Service(own, command, **variables) for command in COMMANDS]
        self.kills: Counter[str] = Counter()
        self.restarts = 0
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep)

    @property
    def urls(self) -> list[str]:
        """The URL of each host."""
        return [service.url for service in self._services if service.command == ("web",)]

    def start(self) -> None:
        """Start all processes, and wait until both hosts accept heartbeats."""
        for service in self._services:
            service.start()
        for service in self._services:
            if service.command == ("web",):
                service.ready()
        self._keeper.start()

    def stop(self) -> None:
        """Stop all processes. Raises AssertionError if one does not stop."""
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for service in self._services:
            service.stop()

    def kill_one(self, chance: random.Random) -> str:
        """Send SIGKILL to one process; its name."""
        service = chance.choice(self._services)
        name = service.command[0]
        if name == "web":
            name = chance.choice(("web master", "web worker", "shipper"))
        victims = {
            "web worker": service.named("web")[1:],
            "shipper": service.named("shipper"),
        }
        for process in victims.get(name, service.family())[:1]:
            process.kill()
            self.kills[name] += 1
        return f"{name} of host {service.directory.name}"

    def memory(self) -> dict[str, float]:
        """The PSS of each command's processes in MB."""
        return {
            f"{service.command[0]} {service.directory.name}": sum(
                _pss(process) for process in service.family()
            )
            for service in self._services
        }

    def tracebacks(self) -> list[str]:
        """The first lines of tracebacks in the logs, each with the line before it."""
        found = []
        for service in self._services:
            lines = service.log.read_text("utf-8", "replace").splitlines()
            for number, line in enumerate(lines):
                if "Traceback" in line:
                    excerpt = "\n".join(lines[max(0, number - 2) : number + 40])
                    found.append(f"{service.log}:{number + 1}\n{excerpt}")
        return found

    def _keep(self) -> None:
        died: dict[Service, float] = {}
        while not self._ended.wait(0.2):
            now = time.monotonic()
            for service in self._services:
                assert service.process is not None
                if service.process.poll() is None:
                    continue
                if now - died.setdefault(service, now) >= _RESTART_AFTER:
                    del died[service]
                    self.restarts += 1
                    service.start()


def _pss(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().pss / 1e6
    except psutil.Error:
        return 0.0
