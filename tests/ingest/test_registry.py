from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from monitor.errors import StateUnavailable
from monitor.ingest.fields import MOST_METRIC_NAMES, MOST_METRICS
from monitor.ingest.registry import Registry, RegistryChanges, from_state, metric_name_saver
from monitor.model import DAY, MINUTE
from monitor.state import sensors, tokens
from monitor.state.database import writing
from monitor.state.tables import sensor
from tests.states import new_state
from tests.waiting import eventually

RETENTION = 90 * DAY


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_state(tmp_path / "state.sqlite")


def registry_of(engine: Engine, token: str = "", most: int = 2) -> Registry:
    return Registry(from_state(engine, RETENTION), 10 * MINUTE, token, most)


def configure(engine: Engine, mac: int, **values: object) -> None:
    with writing(engine) as connection:
        sensors.configure(connection, mac, sensors.next_version(connection), **values)


def test_thresholds_come_from_the_state_or_the_default(engine: Engine) -> None:
    registry = registry_of(engine)
    configure(engine, 1, threshold=90_500)
    registry.refresh()
    assert (registry.threshold(1), registry.threshold(2)) == ("90.5", "600")
    configure(engine, 1, threshold=None)
    registry.refresh()
    assert registry.threshold(1) == "600"


def test_forgotten_sensor_frees_a_place(engine: Engine) -> None:
    registry = registry_of(engine)
    configure(engine, 1)
    configure(engine, 2)
    registry.refresh()
    assert registry.admit(1)
    assert not registry.admit(3)
    with writing(engine) as connection:
        connection.execute(
            update(sensor)
            .where(sensor.c.mac == 1)
            .values(forgotten_at=5, version=sensors.next_version(connection))
        )
    registry.refresh()
    assert registry.admit(3)
    assert not registry.admit(1)


def test_admitted_sensor_is_counted_once_after_registration(engine: Engine) -> None:
    registry = registry_of(engine, most=2)
    registry.refresh()
    assert registry.admit(1)
    configure(engine, 1)
    registry.refresh()
    assert registry.admit(2)
    assert not registry.admit(3)


def test_restored_state_replaces_the_copy(engine: Engine, tmp_path: Path) -> None:
    registry = registry_of(engine)
    backup = (tmp_path / "state.sqlite").read_bytes()
    configure(engine, 1, threshold=1000)
    configure(engine, 2)
    registry.refresh()
    (tmp_path / "state.sqlite").write_bytes(backup)
    registry.refresh()
    assert registry.threshold(1) == "600"
    assert registry.admit(3)


def test_revoked_token_is_refused_after_a_refresh(engine: Engine) -> None:
    registry = registry_of(engine)
    assert not registry.admits_bearer("")
    registry.refresh()
    assert registry.admits_bearer("")
    with writing(engine) as connection:
        secret = tokens.create(connection, "gateway", 0)
    registry.refresh()
    assert registry.admits_bearer(f"Bearer {secret}")
    assert registry.admits_bearer(f"bearer {secret}")
    assert not registry.admits_bearer(f"Basic {secret}")
    assert not registry.admits_bearer(f"Bearer {secret}x")
    with writing(engine) as connection:
        assert tokens.revoke(connection, "gateway", 1)
    registry.refresh()
    assert not registry.admits_bearer(f"Bearer {secret}")
    assert not registry.admits_bearer("")


def test_settings_token_is_valid_before_the_state_is_read(engine: Engine) -> None:
    registry = registry_of(engine, token="a token of the settings")
    assert registry.admits_bearer("Bearer a token of the settings")
    assert registry.token_required is None
    assert not registry.admits_bearer("Bearer another")


def note(engine: Engine, **senders: int) -> None:
    metric_name_saver(engine, RETENTION)(senders)


def names(count: int) -> list[str]:
    return [f"new{n}" for n in range(count)]


def test_number_of_metric_names_is_limited(engine: Engine) -> None:
    registry = registry_of(engine)
    configure(engine, 1)
    note(engine, **{f"old{n}": n for n in range(MOST_METRIC_NAMES - 1)})
    registry.refresh()
    assert registry.surplus_metrics(1, ["old1", "new"]) == []
    assert registry.surplus_metrics(1, ["old1", "new", "newer"]) == ["newer"]
    note(engine, new=1, old1=1)
    registry.refresh()
    assert registry.surplus_metrics(1, ["new", "newer"]) == ["newer"]


def test_one_sensor_adds_at_most_as_many_names_as_one_heartbeat_has(engine: Engine) -> None:
    registry = registry_of(engine)
    configure(engine, 1)
    registry.refresh()
    assert registry.surplus_metrics(1, names(MOST_METRICS + 2)) == ["new16", "new17"]
    note(engine, **dict.fromkeys(names(MOST_METRICS), 1))
    later = registry_of(engine)  # another worker, or after a restart
    later.refresh()
    assert later.surplus_metrics(1, ["battery"]) == ["battery"]
    assert later.surplus_metrics(2, ["battery"]) == []


def test_unregistered_sensors_can_use_half_of_the_names(engine: Engine) -> None:
    registry = registry_of(engine)
    configure(engine, 1)
    registry.refresh()
    for stranger in range(100, 104):
        registry.surplus_metrics(stranger, [f"junk{stranger}_{n}" for n in range(MOST_METRICS)])
    assert registry.surplus_metrics(104, ["more"]) == ["more"]
    assert registry.surplus_metrics(1, ["battery"]) == []


def test_registry_starts_without_a_state_and_reads_it_later(engine: Engine) -> None:
    state = {"there": False}
    read = from_state(engine, RETENTION)

    def load(version: int) -> RegistryChanges:
        if not state["there"]:
            raise StateUnavailable("simulated failure")
        return read(version)

    registry = Registry(load, 10 * MINUTE, "", 2)
    registry.start()
    assert registry.token_required is None
    state["there"] = True
    eventually(lambda: registry.token_required is False)
    registry.close()
