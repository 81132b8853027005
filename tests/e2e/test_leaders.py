"""Two schedulers on one state."""

import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from monitor.state.database import open_state, reading
from monitor.state.tables import incident, lease, notification
from tests.service import Service
from tests.states import sqlite_file_locked
from tests.waiting import eventually

MAC = "02:00:00:00:00:01"


def generation(state: Engine) -> int:
    with reading(state) as connection:
        return connection.execute(select(lease.c.generation)).scalar() or 0


@pytest.mark.timeout(180)
def test_leader_suspended_longer_than_its_lease_writes_nothing(
    tmp_path: Path,
) -> None:
    variables = {
        "MONITOR_STALENESS_THRESHOLD": 8,
        "MONITOR_STALENESS_SWEEP_INTERVAL": 1,
        "MONITOR_ALERTS_GROUP_WAIT": 1,
        "MONITOR_WEBHOOK_URL": "http://127.0.0.1:9/",
        "MONITOR_WEBHOOK_ALLOW_INTERNAL": "true",
    }
    with Service(tmp_path, **variables) as service:
        service.ready()
        state = open_state(f"sqlite:///{tmp_path / 'data' / 'state.sqlite'}")
        (leader,) = eventually(lambda: service.named("scheduler"))
        eventually(lambda: generation(state) == 1)
        with Service(tmp_path, "scheduler", MONITOR_SERVER_PORT=service.port, **variables):
            service.beat(MAC)
            eventually(lambda: service.sensors().get(MAC))
            with sqlite_file_locked(state):
                leader.send_signal(signal.SIGSTOP)
            eventually(lambda: generation(state) == 2, 40)
            leader.send_signal(signal.SIGCONT)
            eventually(lambda: "standing by" in service.log.read_text(), 60)
            eventually(lambda: service.sensors()[MAC]["status"] == "down", 30)
            with reading(state) as connection:
                assert len(connection.execute(select(incident)).all()) == 1
                assert len(connection.execute(select(notification)).all()) == 1
            assert generation(state) == 2
