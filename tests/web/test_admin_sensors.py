"""The table of sensors: search, changes of many at once, export and import."""

import html
import re
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from monitor.model import SECOND, format_mac
from monitor.state import sensor_list, sensors
from monitor.state.database import writing
from monitor.state.sensors import Sensor
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.operator_app import (
    BOILER,
    NASTY,
    PUMP,
    STRANGE,
    assert_refused,
    build_operator_app,
    operator_of,
    trail,
)
from tests.web.visitors import BROWSER, Visitor, logged_in

PATH = "/admin/sensors"
IMPORT = f"{PATH}/import"
HEAD = "mac_address,name,site,threshold_seconds,labels,paused"


@pytest.fixture
def app(rig: Rig) -> Flask:
    return build_operator_app(rig)


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return operator_of(app)


def stored_sensors(rig: Rig) -> dict[int, Sensor]:
    return {row.mac: row for row in sensor_list.every(rig.engine)}


def upload(operator: Visitor, content: bytes) -> TestResponse:
    """Upload a file as a browser does."""
    parts = (
        (b'name="csrf_token"', operator.token(IMPORT).encode()),
        (
            b'name="file"; filename="sensors.csv"\r\nContent-Type: text/csv',
            content,
        ),
    )
    body = b"".join(
        b"--edge\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + value + b"\r\n"
        for head, value in parts
    )
    kind = "multipart/form-data; boundary=edge"
    return operator.client.post(
        IMPORT, data=body + b"--edge--", content_type=kind, headers=BROWSER, base_url=BASE
    )


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'name="(packed|mark)" value="([^"]*)"', page))


def shown(page: str) -> list[str]:
    return re.findall(r'name="mac" value="([^"]*)"', page)


def test_sensors_are_paged_and_found_by_name_site_and_address(rig: Rig, operator: Visitor) -> None:
    more = {mac: {"name": f"Valve {mac:03}"} for mac in range(1, 121)}
    with writing(rig.engine) as connection:
        sensors.configure_all(connection, more, sensors.next_version(connection))
    first = operator.get(PATH).text
    assert "1 to 100 of 123" in first
    assert "Page 1 of 2" in first
    assert f"{PATH}?q=&amp;page=2" in first
    second = operator.get(f"{PATH}?page=2").text
    assert "101 to 123 of 123" in second
    assert not set(shown(first)) & set(shown(second))
    for page in ("99", "0", "x", "9" * 99):
        assert operator.get(f"{PATH}?page={page}").status_code == 200
    assert shown(operator.get(f"{PATH}?q=cellar").text) == [format_mac(BOILER)]
    assert shown(operator.get(f"{PATH}?q=0200.0000.000b").text) == [format_mac(PUMP)]
    assert "No matching sensors." in operator.get(f"{PATH}?q=nowhere").text
    assert "<script>alert" not in second
    assert html.escape(NASTY) in operator.get(f"{PATH}?q={NASTY}").text


@pytest.mark.parametrize(
    ("action", "value", "field", "now"),
    [
        ("site", " Hall 3 ", "site", "Hall 3"),
        ("site", "", "site", None),
        ("threshold", "90.5", "threshold", 90_500),
        ("label", "crew = B", "labels", {"floor": "-1", "crew": "B"}),
        ("unlabel", "floor", "labels", {}),
        ("pause", "", "paused", True),
    ],
)
def test_only_selected_sensors_are_changed(
    rig: Rig, operator: Visitor, action: str, value: str, field: str, now: Any
) -> None:
    before = stored_sensors(rig)
    form = {"action": action, "value": value, "mac": format_mac(BOILER), "q": "boil", "page": "1"}
    assert operator.post(PATH, form, PATH).location == f"{PATH}?q=boil&page=1"
    after = stored_sensors(rig)
    assert getattr(after[BOILER], field) == now
    assert after[PUMP] == before[PUMP]
    assert "1 sensor changed." in operator.get(PATH).text
    entries = trail(rig)
    assert entries[0][:3] == ("operator", "sensors changed", "1 sensor")
    assert entries[1][:3] == ("operator", "sensor changed", format_mac(BOILER))
    assert list(entries[1][3]) == [field]
    assert operator.post(PATH, form, PATH).status_code == 303
    assert "0 sensors changed, 1 unchanged." in operator.get(PATH).text
    assert trail(rig) == entries


def test_all_search_results_can_be_changed(rig: Rig, operator: Visitor) -> None:
    operator.post(PATH, {"action": "pause", "all": "yes", "q": "02:00:00:00:00:0"}, PATH)
    assert {mac for mac, row in stored_sensors(rig).items() if row.paused} == {
        BOILER,
        PUMP,
        STRANGE,
    }
    operator.post(PATH, {"action": "resume", "all": "yes", "q": "harbour"}, PATH)
    assert {mac for mac, row in stored_sensors(rig).items() if row.paused} == {BOILER, STRANGE}


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (
            {"action": "threshold", "value": "soon", "mac": "02:00:00:00:00:0a"},
            "Threshold: must be",
        ),
        (
            {"action": "site", "value": "x" * 201, "mac": "02:00:00:00:00:0a"},
            "Site: must have",
        ),
        ({"action": "label", "value": NASTY, "mac": "02:00:00:00:00:0a"}, "must look like floor=3"),
        (
            {"action": "unlabel", "value": " ", "mac": "02:00:00:00:00:0a"},
            "must be the name of a label",
        ),
        (
            {"action": "explode", "value": "", "mac": "02:00:00:00:00:0a"},
            "must be one of the options",
        ),
        ({"action": "site", "value": "Hall"}, "must include at least one sensor"),
        ({"action": "site", "value": "Hall", "mac": "Boiler"}, "must include at least one sensor"),
    ],
)
def test_invalid_value_is_reported_and_input_is_kept(
    rig: Rig, operator: Visitor, form: dict[str, str], error: str
) -> None:
    before = stored_sensors(rig)
    answer = operator.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert error in answer.text
    assert f'value="{html.escape(form["value"])}"' in answer.text
    assert ('aria-label="Boiler" checked' in answer.text) is form.get("mac", "").startswith("02")
    assert "<script>alert" not in answer.text
    assert stored_sensors(rig) == before


def test_import_of_an_export_changes_only_edited_cells(rig: Rig, operator: Visitor) -> None:
    answer = operator.get(f"{PATH}.csv")
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.text.splitlines()[:2] == [HEAD, "02:00:00:00:00:0a,Boiler,Cellar,,floor=-1,no"]
    same = upload(operator, answer.data)
    assert "Nothing to change" in same.text
    edited = answer.text.replace("Boiler,Cellar,", "=Kessel,Halle,90")
    edited += "02:00:00:00:00:0d,Later,,,,yes\n"
    before = stored_sensors(rig)
    page = upload(operator, b"\xef\xbb\xbf" + edited.encode())
    assert page.status_code == 200
    assert "Boiler → =Kessel" in page.text
    assert "none → 1 min 30 s" in page.text
    assert '<span class="tag">new</span>' in page.text
    assert stored_sensors(rig) == before
    done = operator.post(f"{IMPORT}/confirm", hidden(page.text), IMPORT)
    assert done.location == PATH
    rows = stored_sensors(rig)
    assert (rows[BOILER].name, rows[BOILER].site) == ("=Kessel", "Halle")
    assert rows[BOILER].threshold == 90 * SECOND
    assert (rows[0x02_00_00_00_00_0D].name, rows[0x02_00_00_00_00_0D].paused) == ("Later", True)
    assert rows[STRANGE] == before[STRANGE]
    assert "2 sensors imported." in operator.get(PATH).text
    counts = {"lines": 4, "changed": 1, "new": 1, "unchanged": 2}
    assert trail(rig)[0] == ("operator", "sensors imported", "2 sensors", counts)
    assert [what for _, what, _, _ in trail(rig)].count("sensor changed") == 2
    assert "'=Kessel" in operator.get(f"{PATH}.csv").text


def test_invalid_lines_are_reported_and_nothing_is_imported(rig: Rig, operator: Visitor) -> None:
    before = stored_sensors(rig)
    text = f"{HEAD}\n02:00:00:00:00:0a,Kessel,,,,\nx,{NASTY},,,,\n02:00:00:00:00:0b,,,-1,,\n"
    form = {"csrf_token": operator.token(IMPORT), "text": text}
    answer = operator.client.post(IMPORT, data=form, headers=BROWSER, base_url=BASE)
    assert answer.status_code == 400
    assert "2 problems. Nothing was changed." in answer.text
    assert "<td>Line 3</td><td>mac_address</td>" in answer.text
    assert "<td>Line 4</td><td>threshold_seconds</td>" in answer.text
    assert html.escape(NASTY) in answer.text
    assert "<script>alert" not in answer.text
    assert hidden(answer.text) == {}
    assert stored_sensors(rig) == before


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "Choose a file"),
        (b" \n", "Choose a file"),
        ("mac_address\n".encode("utf-16"), "not UTF-8"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"mac_address,colour\n", "&#39;colour&#39;"),
        (f"{NASTY}\n".encode(), "unknown column"),
    ],
)
def test_invalid_file_is_refused(operator: Visitor, content: bytes, error: str) -> None:
    answer = upload(operator, content)
    assert answer.status_code == 400
    assert error in answer.text
    assert "<script>alert" not in answer.text


def test_change_since_the_preview_is_shown_before_the_import(rig: Rig, operator: Visitor) -> None:
    text = b"mac_address,name\n02:00:00:00:00:0a,Kessel\n"
    form = hidden(upload(operator, text).text)
    rig.configure(BOILER, name="Heater")
    again = operator.post(f"{IMPORT}/confirm", form, IMPORT)
    assert again.status_code == 409
    assert "Heater → Kessel" in again.text
    assert stored_sensors(rig)[BOILER].name == "Heater"
    operator.post(f"{IMPORT}/confirm", hidden(again.text), IMPORT)
    assert stored_sensors(rig)[BOILER].name == "Kessel"


@pytest.mark.parametrize("packed", ["", "x", "eJw=", "AAAA"])
def test_damaged_preview_changes_nothing(rig: Rig, operator: Visitor, packed: str) -> None:
    before = stored_sensors(rig)
    form = {"packed": packed, "mark": "x"}
    assert operator.post(f"{IMPORT}/confirm", form, IMPORT).status_code in (400, 413)
    assert stored_sensors(rig) == before


def test_ten_thousand_lines_are_imported_at_once(rig: Rig, operator: Visitor) -> None:
    rows = (
        f"{format_mac(mac)},Sensor {mac} in a long corridor of the building,Site {mac % 90},"
        f"{60 + mac % 600},floor={mac % 9}; crew=B; note={'x' * 60},{'yes' if mac % 2 else 'no'}"
        for mac in range(10_000)
    )
    content = "\n".join([HEAD, *rows]).encode()
    assert len(content) > 1024 * 1024
    page = upload(operator, content)
    assert page.status_code == 200, page.text[-2000:]
    assert "And 9,000 more sensors." in page.text
    assert operator.post(f"{IMPORT}/confirm", hidden(page.text), IMPORT).status_code == 303
    assert len(stored_sensors(rig)) == 10_003
    assert [what for _, what, _, _ in trail(rig)] == ["sensors imported"]


def test_oversized_file_is_refused(operator: Visitor) -> None:
    assert upload(operator, b"x" * (9 * 1024 * 1024)).status_code == 413


def test_viewers_and_cross_site_requests_cannot_change_sensors(
    rig: Rig, app: Flask, operator: Visitor
) -> None:
    before = stored_sensors(rig)
    form = {"action": "site", "value": "Mine", "mac": format_mac(BOILER)}
    assert_refused(app, PATH, form)
    assert_refused(app, IMPORT, {"text": f"{HEAD}\n"})
    ready = hidden(upload(operator, b"mac_address,name\n02:00:00:00:00:0a,Kessel\n").text)
    assert_refused(app, f"{IMPORT}/confirm", ready)
    viewer = logged_in(app, "viewer")
    for path in (PATH, IMPORT, f"{PATH}.csv"):
        assert viewer.get(path).status_code == 403
    assert stored_sensors(rig) == before
