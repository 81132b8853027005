"""Changes to a sensor on its page."""

import pytest
from flask import Flask

from monitor.model import SECOND
from monitor.state import audit, sensors
from monitor.state.database import reading
from monitor.state.sensors import Sensor
from monitor.web.sensors.changes import read
from tests.web.contexts import BASE
from tests.web.fleet_rig import Rig
from tests.web.visitors import Visitor, add_user, logged_in

MAC = 0x02_00_00_00_00_0A
PATH = "/sensors/02:00:00:00:00:0a"
FORM = {"name": "Boiler", "site": " Harbour ", "threshold": "90", "labels": "floor=3\n\ncrew = B"}


@pytest.fixture
def app(rig: Rig) -> Flask:
    rig.beat(MAC)
    rig.register(MAC)
    for role in ("viewer", "operator"):
        add_user(rig.engine, role, role)
    return rig.build_app(base_url=BASE)


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return logged_in(app, "operator")


def row(rig: Rig) -> Sensor:
    with reading(rig.engine) as connection:
        found = sensors.find(connection, MAC)
    assert found is not None
    return found


def trail(rig: Rig) -> list[tuple[str, str, str]]:
    with reading(rig.engine) as connection:
        return [(each.who, each.what, each.subject) for each in audit.listed(connection, 9)]


def test_name_site_labels_and_threshold_are_set_and_audited(rig: Rig, operator: Visitor) -> None:
    assert f'href="{PATH}/edit"' in operator.get(PATH).text
    assert operator.post(f"{PATH}/edit", FORM, f"{PATH}/edit").location == PATH
    found = row(rig)
    assert (found.name, found.site, found.threshold) == ("Boiler", "Harbour", 90 * SECOND)
    assert found.labels == {"floor": "3", "crew": "B"}
    assert "Sensor saved." in operator.get(PATH).text
    assert ("operator", "sensor changed", "02:00:00:00:00:0a") in trail(rig)
    page = operator.get(f"{PATH}/edit").text
    assert 'name="threshold" value="90"' in page
    assert ">crew=B\nfloor=3</textarea>" in page
    operator.post(f"{PATH}/edit", dict.fromkeys(FORM, ""), f"{PATH}/edit")
    found = row(rig)
    assert (found.name, found.site, found.threshold, found.labels) == (None, None, None, {})


def test_invalid_field_is_reported_and_input_is_kept(rig: Rig, operator: Visitor) -> None:
    form = FORM | {"labels": "<b>", "name": "<script>"}
    answer = operator.post(f"{PATH}/edit", form, f"{PATH}/edit")
    assert answer.status_code == 400
    assert "must look like floor=3" in answer.text
    assert 'value="&lt;script&gt;"' in answer.text
    assert row(rig).name is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "x" * 201),
        ("threshold", "soon"),
        ("threshold", "nan"),
        ("threshold", "0"),
        ("threshold", "-5"),
        ("threshold", "1e300"),
        ("labels", "name=x"),
        ("labels", "floor"),
        ("labels", f"floor={'x' * 201}"),
    ],
)
def test_invalid_value_is_refused(field: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        read(FORM | {field: text})


def test_sensor_is_paused_and_resumed(rig: Rig, operator: Visitor) -> None:
    operator.post(f"{PATH}/pause", page=f"{PATH}/edit")
    assert row(rig).paused
    assert "Sensor paused." in operator.get(PATH).text
    operator.post(f"{PATH}/resume", page=f"{PATH}/edit")
    assert not row(rig).paused


def test_removal_requires_confirmation(rig: Rig, operator: Visitor) -> None:
    assert operator.post(f"{PATH}/forget", page=f"{PATH}/edit").status_code == 400
    assert row(rig).forgotten_at is None
    removed = operator.post(f"{PATH}/forget", {"sure": "yes"}, f"{PATH}/edit")
    assert (removed.status_code, removed.location) == (303, "/")
    assert row(rig).forgotten_at is not None
    assert trail(rig)[0] == ("operator", "sensor removed", "02:00:00:00:00:0a")
    rig.clock.ahead += SECOND
    assert operator.get(PATH).status_code == 404
    assert operator.get(f"{PATH}/edit").status_code == 404


@pytest.mark.parametrize("what", ["edit", "pause", "resume", "forget"])
def test_viewers_and_cross_site_requests_cannot_change_a_sensor(
    rig: Rig, app: Flask, operator: Visitor, what: str
) -> None:
    viewer = logged_in(app, "viewer")
    assert "/edit" not in viewer.get(PATH).text
    form = FORM | {"sure": "yes"}
    assert viewer.post(f"{PATH}/{what}", form).status_code == 403
    assert operator.client.post(f"{PATH}/{what}", data=form, base_url=BASE).status_code == 403
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert operator.post(f"{PATH}/{what}", form, headers=foreign).status_code == 403
    assert app.test_client().post(f"{PATH}/{what}", data=form).status_code == 401
    assert row(rig).name is None
    assert row(rig).forgotten_at is None
    assert not row(rig).paused
