"""Exported sensors can be imported again, and invalid files are reported."""

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.incidents import sensor_fields
from monitor.model import format_mac
from monitor.services import sensor_csv
from monitor.services.sensor_csv import LineProblem, Plan
from monitor.state.sensors import Sensor

PLAIN = Sensor(0x0200_0000_000A, None, None, {}, None, True, False, None, 1)


def planned(text: str, *known: Sensor) -> Plan:
    return sensor_csv.plan(*sensor_csv.read(text), {row.mac: row for row in known})


def exported(*rows: Sensor) -> str:
    return "".join(sensor_csv.write(rows))


def accepted_name(text: str) -> str | None:
    """The name as the rules accept it; None if they refuse it."""
    try:
        return sensor_fields.words("name", text)
    except ValueError:
        return None


def accepted_labels(labels: dict[str, str]) -> dict[str, str]:
    taken: dict[str, str] = {}
    for name, value in labels.items():
        try:
            taken |= sensor_fields.labels([f"{name}={value}"])
        except ValueError:
            continue
    return taken


NASTY = st.text(st.sampled_from("=+-@'\";,\\\t\r\n x\ufeff＝é1"), max_size=8) | st.text(max_size=30)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)


def sensors_of(words: st.SearchStrategy[str | None], labels: Any) -> st.SearchStrategy[Sensor]:
    return st.builds(
        Sensor,
        mac=st.integers(0, 2**48 - 1),
        name=words,
        site=words,
        labels=labels,
        threshold=st.none() | st.integers(100, 10**11),
        live=st.booleans(),
        paused=st.booleans(),
        forgotten_at=st.none(),
        version=st.just(1),
    )


FLEETS = st.lists(
    sensors_of(
        NASTY.map(accepted_name), st.dictionaries(NAMES, NASTY, max_size=3).map(accepted_labels)
    ),
    max_size=5,
    unique_by=lambda row: row.mac,
)
ODD = st.lists(
    sensors_of(st.none() | NASTY, st.dictionaries(NASTY, NASTY, max_size=3)),
    max_size=5,
    unique_by=lambda row: row.mac,
)


@given(FLEETS)
@example([PLAIN._replace(name="=1+1", site="'=x", labels={"a": "b;c\\", "d": "=\\;"})])
def test_export_imported_into_an_empty_fleet_restores_all_sensors(fleet: list[Sensor]) -> None:
    plan = planned(exported(*fleet))
    assert plan.problems == []
    fields = ("name", "site", "labels", "threshold", "paused")
    assert plan.changes == {
        row.mac: {field: getattr(row, field) for field in fields} for row in fleet
    }


@given(ODD)
def test_import_of_an_unedited_export_changes_nothing(fleet: list[Sensor]) -> None:
    assert planned(exported(*fleet), *fleet) == Plan({}, [], len(fleet))


@given(FLEETS)
def test_no_cell_can_be_a_spreadsheet_formula(fleet: list[Sensor]) -> None:
    for row in csv.reader(io.StringIO(exported(*fleet), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.text())
def test_any_text_is_read_without_an_exception(text: str) -> None:
    planned(text)
    planned(f"mac_address,name,labels\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "site,mac_address,labels\nHall,0200.0000.000a,crew=B;floor=3\n",
        '\ufeffSite;MAC_address;labels\r\nHall;02-00-00-00-00-0A;"crew = B; floor=3;"\r\n',
        'mac_address,labels,site\n\n,,\n02:00:00:00:00:0a,floor=3; crew=B," Hall "',
    ],
)
def test_columns_can_be_reordered_missing_or_separated_by_semicolons(text: str) -> None:
    plan = planned(text, PLAIN._replace(name="Boiler", threshold=5_000))
    assert plan == Plan({PLAIN.mac: {"site": "Hall", "labels": {"crew": "B", "floor": "3"}}}, [], 1)


def test_empty_cell_clears_the_value() -> None:
    known = PLAIN._replace(name="Boiler", site="Hall", threshold=5_000, paused=True)
    plan = planned("mac_address,name,threshold_seconds,paused\n02:00:00:00:00:0a,,,\n", known)
    assert plan.changes == {PLAIN.mac: {"name": None, "threshold": None, "paused": False}}


def test_unknown_sensor_is_added_and_forgotten_sensor_is_restored() -> None:
    text = "mac_address,name\n02:00:00:00:00:0a,Boiler\n02:00:00:00:00:0b,Pump\n"
    plan = planned(text, PLAIN._replace(name="Boiler", forgotten_at=7))
    assert plan.changes == {PLAIN.mac: {}, PLAIN.mac + 1: {"name": "Pump"}}


def test_every_invalid_line_is_reported_with_its_number_and_field() -> None:
    text = (
        "mac_address,name,threshold_seconds,labels,paused\n"
        'nonsense,"two\nlines",,,\n'
        f"02:00:00:00:00:01,{'x' * 201},soon,floor,perhaps\n"
        "02:00:00:00:00:02,Pump\n"
        "02:00:00:00:00:01,,,,\n"
        "02:00:00:00:00:03,,,name=x,no\n"
    )
    plan = planned(text)
    assert [(each.line, each.field) for each in plan.problems] == [
        (2, "mac_address"),
        (4, "labels"),
        (4, "name"),
        (4, "paused"),
        (4, "threshold_seconds"),
        (5, ""),
        (6, "mac_address"),
        (7, "labels"),
    ]
    assert "already in line 4" in plan.problems[6].detail


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "missing"),
        ("name\nBoiler", "mac_address"),
        ("mac_address,colour\n02:00:00:00:00:01,red", "'colour'"),
        ("mac_address,name,name\n02:00:00:00:00:01,a,b", "twice"),
        ('mac_address\n"02:00', "not CSV"),
    ],
)
def test_invalid_header_is_reported(text: str, error: str) -> None:
    plan = planned(text)
    assert plan.changes == {}
    assert any(error in f"{problem.field} {problem.detail}" for problem in plan.problems)


def test_invalid_line_is_only_a_problem() -> None:
    assert planned("mac_address\n02\n") == Plan(
        {}, [LineProblem(2, "mac_address", "'02' is not a MAC address like 02:00:00:00:00:00")], 0
    )
    assert format_mac(PLAIN.mac) in exported(PLAIN)
