"""A scheduler that is killed in the middle of its transaction."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from monitor.model import MINUTE
from monitor.state import leases
from monitor.state.database import reading
from monitor.state.tables import notification, sensor
from tests.staleness.test_sweep import World

_KILLED = """
import os, signal, sys
from pathlib import Path
from unittest.mock import patch
from monitor.state.leases import Lease
from tests.staleness.test_sweep import ALERTING, OPTIONS
from monitor.staleness.sweep import Sweep
from tests.delivering import watch
from monitor.state.database import open_state
from monitor.store.sqlite import SqliteStore

directory, generation, now, target = sys.argv[1:]
store = SqliteStore(Path(directory) / "heartbeats.sqlite", OPTIONS.retention)
engine = open_state(f"sqlite:///{directory}/state.sqlite")
sweep = Sweep(store, engine, OPTIONS, ALERTING, watch())
with patch(target, side_effect=lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
    sweep.run(Lease("scheduler", "first", int(generation)), int(now))
"""


@pytest.mark.parametrize(
    "target",
    [
        "monitor.state.leases.fence",
        "monitor.state.sensors.register",
        "monitor.incidents.service.close_all",
        "monitor.incidents.service.open_all",
        "monitor.state.notifications.enqueue",
        "monitor.state.horizon.record_sources",
        "monitor.state.horizon.record_progress",
    ],
)
def test_a_sweep_killed_anywhere_leaves_nothing_half_written(tmp_path: Path, target: str) -> None:
    world = World(tmp_path)
    world.hear(1)
    world.pass_time(10 * MINUTE)
    world.hear(2)
    world.now += MINUTE
    world.pulse()
    arguments = [tmp_path, world.lease.generation, world.now, target]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *map(str, arguments)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert world.incidents() == []
    with reading(world.engine) as connection:
        assert connection.execute(select(notification)).all() == []
        assert list(connection.scalars(select(sensor.c.mac))) == [1]
    leases.release(world.engine, world.lease)
    world.lease = world.take_lease("second")
    world.sweep = world.new_sweep()
    world.pass_time(MINUTE)
    assert [row.mac for row in world.incidents()] == [1]
    with reading(world.engine) as connection:
        assert len(connection.execute(select(notification)).all()) == 2
    world.store.close()
