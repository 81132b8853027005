"""The periods in which sensors were paused."""

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

import monitor.state.migrations
from monitor.model import MINUTE
from monitor.state import pauses, sensors
from monitor.state.database import open_state, reading, writing
from monitor.state.migrating import migrate


def pause(state: Engine, mac: int, paused: bool) -> None:
    with writing(state) as connection:
        sensors.configure(connection, mac, sensors.next_version(connection), paused=paused)


def spans(state: Engine, mac: int, since: int = 0) -> list[tuple[int, int | None]]:
    with reading(state) as connection:
        return pauses.spans(connection, mac, since)


def test_pause_lasts_from_pausing_to_resuming(state: Engine) -> None:
    before = time.time_ns() // 1_000_000 - MINUTE
    assert spans(state, 1) == []
    pause(state, 1, False)
    assert spans(state, 1) == []
    pause(state, 1, True)
    pause(state, 1, True)
    pause(state, 2, True)
    ((start, stop),) = spans(state, 1)
    assert before < start < before + 2 * MINUTE
    assert stop is None
    pause(state, 1, False)
    ((same, stop),) = spans(state, 1)
    assert same == start
    assert stop is not None
    assert stop >= start
    pause(state, 1, True)
    assert spans(state, 1)[0][0] == start
    assert spans(state, 1, since=stop + MINUTE)[-1][1] is None
    assert spans(state, 2)[0][1] is None


def test_renaming_a_sensor_starts_no_pause(state: Engine) -> None:
    with writing(state) as connection:
        sensors.configure(connection, 1, sensors.next_version(connection), name="Boiler")
    assert spans(state, 1) == []


def test_sensors_paused_before_the_migration_are_paused_from_then_on(state_url: str) -> None:
    engine = open_state(state_url)
    config = Config()
    (folder,) = monitor.state.migrations.__path__
    config.set_main_option("script_location", str(Path(folder)))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        added = "INSERT INTO sensor (mac, labels, live, paused, version) VALUES "
        connection.execute(text(added + "(1, '{}', true, true, 1), (2, '{}', true, false, 1)"))
    migrate(engine)
    ((start, stop),) = spans(engine, 1)
    assert abs(start - time.time_ns() // 1_000_000) < MINUTE
    assert stop is None
    assert spans(engine, 2) == []
    engine.dispose()
