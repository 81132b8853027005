"""When the service can't judge, recipients get a notice, and another when it can again."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from monitor.state.database import open_state
from tests.influxd.server import InfluxdServer
from tests.postgres import fresh_database
from tests.receiver import receiver
from tests.service import Service
from tests.smtp import mailbox
from tests.states import sqlite_file_locked
from tests.waiting import eventually

MAC = "02:00:00:00:00:01"
BEHIND, OVER = "Monitoring has been behind since ", "Monitoring was behind between "


@contextmanager
def _stopped(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def check(service: Service, stop: Callable[[], psutil.Process]) -> None:
    """Check notices, `/readyz`, the metric and `/sensors` during and after `stop()`."""
    with receiver() as hook, mailbox() as box:
        service.environment.update(
            MONITOR_WEBHOOK_URL=hook.url,
            MONITOR_WEBHOOK_ALLOW_INTERNAL="true",
            MONITOR_EMAIL_SERVER="127.0.0.1",
            MONITOR_EMAIL_PORT=str(box.port),
            MONITOR_EMAIL_SENDER="monitor@example.org",
            MONITOR_EMAIL_RECIPIENTS="night@example.org",
            MONITOR_ALERTS_BLIND_NOTICE_AFTER="2",
            MONITOR_STALENESS_SWEEP_INTERVAL="1",
        )

        def called(beginning: str) -> int:
            subjects = [json.loads(request.body)["subject"] for request in hook.requests]
            return sum(subject.startswith(beginning) for subject in subjects)

        def mailed(beginning: str) -> int:
            return sum(message["Subject"].startswith(beginning) for message in box.messages)

        def behind() -> float | None:
            lines = requests.get(f"{service.url}/metrics", timeout=30).text.splitlines()
            name = "heartbeat_monitor_judging_behind "
            return next((float(line[len(name) :]) for line in lines if line.startswith(name)), None)

        def reasons() -> str:
            return requests.get(f"{service.url}/readyz", timeout=30).text

        with service:
            service.ready()
            service.beat(MAC)
            eventually(lambda: service.sensors().get(MAC), 30)
            assert behind() == 0
            with _stopped(stop()):
                eventually(lambda: called(BEHIND) and mailed(BEHIND), 60)
                assert "Sensors have not been judged since" in reasons()
                eventually(lambda: behind() == 1, 30)
            eventually(lambda: called(OVER) and mailed(OVER), 60)
            service.ready()
            eventually(lambda: behind() == 0, 30)
            assert called(BEHIND) == mailed(BEHIND) == called(OVER) == mailed(OVER) == 1


@pytest.mark.timeout(240)
def test_notifier_reports_a_hanging_scheduler(tmp_path: Path) -> None:
    service = Service(tmp_path)

    def stop() -> psutil.Process:
        (scheduler,) = service.named("scheduler")
        with sqlite_file_locked(open_state(f"sqlite:///{tmp_path / 'data' / 'state.sqlite'}")):
            scheduler.suspend()
        return scheduler

    check(service, stop)


@pytest.mark.timeout(240)
def test_hanging_store_is_reported(tmp_path: Path, influxd: InfluxdServer) -> None:
    service = Service(
        tmp_path,
        MONITOR_STATE_URL=fresh_database(),
        INFLUXDB_V2_URL=influxd.url,
        INFLUXDB_V2_ORG=influxd.org,
        INFLUXDB_V2_TOKEN=influxd.token,
    )
    check(service, lambda: psutil.Process(influxd.pid))
