"""Lists of sensors, and changes to many sensors at once."""

from typing import Any

import pytest
from sqlalchemy import Engine

from monitor.state import database, pauses, sensor_list, sensors
from monitor.state.database import reading, writing

NAMED: dict[int, dict[str, Any]] = {
    0x0200_0000_000A: {"name": "Boiler", "site": "Hall 100%"},
    0x0200_0000_000B: {"name": "pump_1", "site": "Hall B"},
    0x0200_0000_000C: {"labels": {"floor": "3"}, "threshold": 5_000, "paused": True},
}


@pytest.fixture(autouse=True)
def fleet(state: Engine) -> None:
    with writing(state) as connection:
        sensors.configure_all(connection, NAMED, sensors.next_version(connection))
        sensors.configure(connection, 1, sensors.next_version(connection), name="Boiler of old")
        sensors.forget(connection, 1, sensors.next_version(connection))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [0xA, 0xB, 0xC]),
        ("BOIL", [0xA]),
        ("hall", [0xA, 0xB]),
        ("hall pump", [0xB]),
        ("00%", [0xA]),
        ("p_1", [0xB]),
        ("l_1", []),
        ("0000.000c", [0xC]),
        ("02:00:00", [0xA, 0xB, 0xC]),
        ("00-0b", [0xB]),
        ("\0", [0xA, 0xB, 0xC]),
    ],
)
def test_each_word_must_match_name_site_or_address(
    state: Engine, text: str, found: list[int]
) -> None:
    with reading(state) as connection:
        rows = sensor_list.page(connection, text, 10, 0)
        assert sorted(row.mac & 0xFF for row in rows) == found
        assert sensor_list.count(connection, text) == len(found)
        assert {row.mac for row in sensor_list.found(connection, text)} == {r.mac for r in rows}


def test_pages_are_sorted_by_name_with_unnamed_sensors_last(state: Engine) -> None:
    with reading(state) as connection:
        pages = [sensor_list.page(connection, "", 1, skipped)[0].name for skipped in range(3)]
    assert pages == ["Boiler", "pump_1", None] or pages == ["pump_1", "Boiler", None]


def test_every_sensor_that_is_not_forgotten_is_read(
    state: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PAGE", 2)
    assert [row.mac for row in sensor_list.every(state)] == list(NAMED)


def test_many_sensors_are_changed_each_with_its_own_values(state: Engine) -> None:
    changes: dict[int, dict[str, Any]] = {
        0x0200_0000_000A: {"paused": True},
        0x0200_0000_000C: {"paused": False, "threshold": None},
        1: {"site": "Hall B"},
        2: {"labels": {"floor": "1"}},
    }
    with writing(state) as connection:
        version = sensors.next_version(connection)
        sensors.configure_all(connection, changes, version)
    with reading(state) as connection:
        rows = sensor_list.of(connection, [*changes, 3])
        pause_spans = {mac: pauses.spans(connection, mac, 0) for mac in changes}
    assert rows.keys() == changes.keys()
    assert {row.version for row in rows.values()} == {version}
    assert rows[0x0200_0000_000A].paused
    assert rows[0x0200_0000_000A].name == "Boiler"
    assert rows[0x0200_0000_000C].labels == {"floor": "3"}
    assert rows[0x0200_0000_000C].threshold is None
    assert (rows[1].name, rows[1].site, rows[1].forgotten_at) == ("Boiler of old", "Hall B", None)
    assert (rows[2].labels, rows[2].live, rows[2].paused) == ({"floor": "1"}, False, False)
    assert [stop is None for _, stop in pause_spans[0x0200_0000_000A]] == [True]
    assert [stop is None for _, stop in pause_spans[0x0200_0000_000C]] == [False]
    assert pause_spans[1] == pause_spans[2] == []
