"""After kill -9 of a parent process under load, the service answers again within seconds."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from monitor.model import format_mac
from tests.service import Service
from tests.waiting import eventually

CONNECTIONS = 40
"""More connections than the server has threads."""


class Load:
    """Kept-alive connections, each of which sends heartbeats of new sensors."""

    def __init__(self, service: Service) -> None:
        self._url = f"{service.url}/heartbeat"
        self._numbers, self._ended = itertools.count(1), threading.Event()
        self.acknowledged: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        session = requests.Session()
        while not self._ended.is_set():
            mac = format_mac(0x020000000000 + next(self._numbers))
            try:
                answer = session.post(self._url, json={"mac_address": mac}, timeout=5)
            except requests.RequestException:
                self._ended.wait(0.1)
            else:
                if answer.ok:
                    self.acknowledged.append(mac)


def answers(service: Service) -> bool:
    """Whether a heartbeat on a new connection is acknowledged."""
    try:
        body = {"mac_address": "02:00:00:ff:ff:ff"}
        return requests.post(f"{service.url}/heartbeat", json=body, timeout=1).ok
    except requests.RequestException:
        return False


@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", ["web", "serve"])
def test_children_of_a_killed_parent_exit_and_the_service_recovers(
    tmp_path: Path, victim: str
) -> None:
    """It takes 1 to 3 seconds on an idle machine; the time is printed."""
    with Service(tmp_path) as service:
        service.ready()
        load = Load(service)
        with load.running():
            eventually(lambda: len(load.acknowledged) > 500, 30)
            before = service.family() if victim == "serve" else service.named("web")
            before[0].kill()
            killed_at = time.monotonic()
            if victim == "serve":
                assert service.process
                service.process.wait(10)
                service.start()
            eventually(lambda: not any(map(alive, before)), 40)
            eventually(lambda: answers(service), 60)
            away = time.monotonic() - killed_at
            print(f"service was back {away:.1f} s after kill -9 of `monitor {victim}`")
            count = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > count, 30)
        eventually(lambda: service.sensors().keys() >= set(load.acknowledged), 60, every=0.5)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
