"""Two of each process, started again after each death as systemd would, and killed at random."""

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
        """Of each host."""
        return [service.url for service in self._services if service.command == ("web",)]

    def start(self) -> None:
        """Start all, and wait until both hosts take heartbeats in."""
        for service in self._services:
            service.start()
        for service in self._services:
            if service.command == ("web",):
                service.ready()
        self._keeper.start()

    def stop(self) -> None:
        """End all. Raises AssertionError when one does not."""
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for service in self._services:
            service.stop()

    def kill_one(self, chance: random.Random) -> str:
        """SIGKILL to one process; which it was."""
        service = chance.choice(self._services)
        family = service.family()
        victim, name = family[:1], service.command[0]
        if name == "web":
            is_worker = chance.random() < 0.5
            name = "web worker" if is_worker else "web master"
            victim = family[1:][:1] if is_worker else victim
        for process in victim:
            process.kill()
            self.kills[name] += 1
        return f"{name} of host {service.directory.name}"

    def memory(self) -> dict[str, float]:
        """PSS of each command's processes, MB."""
        return {
            f"{service.command[0]} {service.directory.name}": sum(
                _pss(process) for process in service.family()
            )
            for service in self._services
        }

    def tracebacks(self) -> list[str]:
        """Lines of the logs where one begins, with what comes before it."""
        found = []
        for service in self._services:
            lines = service.log.read_text("utf-8", "replace").splitlines()
            for number, line in enumerate(lines):
                if "Traceback" in line:
                    said = "\n".join(lines[max(0, number - 2) : number + 40])
                    found.append(f"{service.log}:{number + 1}\n{said}")
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
