"""Heartbeats are acknowledged while the shipper is killed, and when the web process stops."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from monitor.model import DAY, format_mac, parse_mac, parse_time
from monitor.state.database import open_state, reading
from monitor.state.tables import incident
from monitor.store.sqlite import SqliteStore
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)

SENSORS = 20
_INTERVAL = 0.5
"""Seconds between two heartbeats of a sensor."""
_TIMING = {"MONITOR_STALENESS_THRESHOLD": 8, "MONITOR_STALENESS_SWEEP_INTERVAL": 1}

Beat = tuple[int, int]
"""(mac, time in ms)"""


class Fleet:
    """Sensors that report regularly."""

    def __init__(self, service: Service) -> None:
        self._url = f"{service.url}/heartbeat"
        self._ended = threading.Event()
        self._macs = [format_mac(0x020000000001 + number) for number in range(SENSORS)]
        self.acknowledged: set[Beat] = set()
        self.failures = 0
        """Heartbeats that were not acknowledged."""

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def wait_for_all(self) -> None:
        """Wait until every sensor has sent another heartbeat."""
        count = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) >= count + 2 * SENSORS)

    def _run(self) -> None:
        session = requests.Session()
        while not self._ended.wait(_INTERVAL):
            for mac in self._macs:
                try:
                    reply = session.post(self._url, json={"mac_address": mac}, timeout=10)
                    reply.raise_for_status()
                except requests.RequestException:
                    self.failures += 1
                else:
                    sent = reply.json()
                    self.acknowledged.add((parse_mac(mac), parse_time(sent["time"])))


def stored(service: Service, macs: set[int]) -> list[Beat]:
    store = SqliteStore(service.directory / "data" / "heartbeats.sqlite", DAY)
    beats = [(beat.mac, beat.time) for beat in store.heartbeats(sorted(macs), 0, 1 << 50)]
    store.close()
    return beats


def check_stored(service: Service, fleet: Fleet) -> None:
    """All that was acknowledged is stored, once. Raises AssertionError."""
    macs = {mac for mac, _ in fleet.acknowledged}
    eventually(lambda: set(stored(service, macs)) >= fleet.acknowledged)
    beats = stored(service, macs)
    assert len(beats) == len(set(beats))


def check_none_is_down(service: Service) -> None:
    eventually(lambda: len(service.sensors()) == SENSORS)
    assert {each["status"] for each in service.sensors().values()} == {"up"}
    engine = open_state(f"sqlite:///{service.directory / 'data' / 'state.sqlite'}")
    with reading(engine) as connection:
        assert connection.execute(select(incident)).all() == []
    engine.dispose()


def migrate(directory: Path) -> None:
    """Create the tables, which `monitor serve` does itself."""
    with Service(directory, "migrate") as migration:
        assert migration.process
        assert migration.process.wait(60) == 0, migration.tail()


def accepts(service: Service) -> bool:
    try:
        return requests.get(f"{service.url}/healthz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("command", ["serve", "web"])
def test_killed_shipper_is_started_again_and_no_heartbeat_is_lost_or_refused(
    tmp_path: Path, command: str
) -> None:
    migrate(tmp_path)
    with Service(tmp_path, command, **_TIMING) as service:
        eventually(lambda: accepts(service), 60)
        fleet = Fleet(service)
        with fleet.running():
            fleet.wait_for_all()
            workers = service.named("web")
            for _ in range(3):
                (shipper,) = eventually(lambda: service.named("shipper"), 40)
                shipper.kill()
                fleet.wait_for_all()
            eventually(lambda: {each.pid for each in service.named("shipper")} - {shipper.pid}, 40)
            fleet.wait_for_all()
            check_stored(service, fleet)
            if command == "serve":
                check_none_is_down(service)
        assert service.named("web") == workers
        assert fleet.failures == 0
        assert service.log.read_text().count("shipper exited with -9") == 3
        assert "Traceback" not in service.log.read_text()


def test_stopped_web_process_ships_all_and_closes_the_coverage_span(tmp_path: Path) -> None:
    migrate(tmp_path)
    with Service(tmp_path, "web", **_TIMING) as service:
        eventually(lambda: accepts(service), 60)
        fleet = Fleet(service)
        with fleet.running():
            fleet.wait_for_all()
            eventually(lambda: stored(service, {mac for mac, _ in fleet.acknowledged}))
            assert service.process
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(40) == 0
        macs = {mac for mac, _ in fleet.acknowledged}
        assert set(stored(service, macs)) >= fleet.acknowledged
    store = SqliteStore(tmp_path / "data" / "heartbeats.sqlite", DAY)
    last = max(store.coverage(0, 1 << 50), key=lambda span: span.until)
    store.close()
    assert last.closing
    assert not list((tmp_path / "data" / "spool").iterdir())
    assert "Traceback" not in service.log.read_text()
