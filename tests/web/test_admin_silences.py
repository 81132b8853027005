"""The administration page of silences."""

import html
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from monitor.model import DAY, HOUR
from monitor.outbox.wording import local
from monitor.services.silences import Phase, listed
from monitor.state.silences import SilenceRow
from tests.web.fleet_rig import Rig
from tests.web.operator_app import NASTY, assert_refused, build_operator_app, operator_of, trail
from tests.web.visitors import Visitor, logged_in

PATH = "/admin/silences"
ZONE = ZoneInfo("Europe/Berlin")
FORM = {"matchers": "site=Cellar|Harbour\n\nname=Boiler", "lasts": str(HOUR), "comment": "Repair"}


@pytest.fixture
def app(rig: Rig) -> Flask:
    return build_operator_app(rig, zone=ZONE)


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return operator_of(app)


def stored_silences(rig: Rig, phase: Phase | None = None) -> list[SilenceRow]:
    return listed(rig.engine, phase, rig.clock.now())


def typed(rig: Rig, ahead: int) -> str:
    """The local time in `ahead` ms, as a browser's datetime-local field sends it."""
    return f"{local(rig.clock.now() + ahead, ZONE):%Y-%m-%dT%H:%M}"


def test_silence_is_started_with_a_sensor_count_and_ended_early(
    rig: Rig, operator: Visitor
) -> None:
    assert operator.post(PATH, FORM, PATH).location == f"{PATH}?state=current"
    (row,) = stored_silences(rig)
    assert row.matchers == ("site=Cellar|Harbour", "name=Boiler")
    assert (row.ends_at - row.starts_at, row.created_by) == (HOUR, "operator")
    page = operator.get(PATH).text
    assert "Silence 1 has started. It matches 1 sensor now." in page
    assert "1 sensor now · by operator" in page
    operator.post(f"{PATH}/{row.id}/end", {}, PATH)
    assert stored_silences(rig) == []
    assert "Silence 1 ended." in operator.get(PATH).text
    assert "Repair" in operator.get(f"{PATH}?state=past").text
    operator.post(f"{PATH}/{row.id}/end", {}, PATH)
    assert "Silence 1 had already ended." in operator.get(PATH).text
    assert [(who, what, of) for who, what, of, _ in trail(rig)] == [
        ("operator", "silence ended", "1"),
        ("operator", "silence started", "1"),
    ]
    assert trail(rig)[1][3]["comment"] == "Repair"


def test_silence_can_start_and_end_at_given_local_times(rig: Rig, operator: Visitor) -> None:
    times = {"starts": typed(rig, DAY), "lasts": "until", "until": typed(rig, 2 * DAY)}
    assert operator.post(PATH, FORM | times, PATH).location == f"{PATH}?state=upcoming"
    (row,) = stored_silences(rig, "upcoming")
    assert f"{local(row.starts_at, ZONE):%Y-%m-%dT%H:%M}" == times["starts"]
    assert f"{local(row.ends_at, ZONE):%Y-%m-%dT%H:%M}" == times["until"]
    assert "No active silences" in operator.get(PATH).text
    assert ">Cancel</button>" in operator.get(f"{PATH}?state=upcoming").text


@pytest.mark.parametrize(
    ("field", "text", "error"),
    [
        ("matchers", "Cellar", "Sensors: 'Cellar' is not a matcher"),
        ("matchers", " ", "Sensors: must have at least one matcher"),
        ("comment", " ", "Reason: is required"),
        ("comment", "x" * 1001, "Reason: must have at most 1000"),
        ("lasts", "7", "Duration: must be one of the options"),
        ("lasts", "until", "Duration: must be like"),
        ("starts", "soon", "Start: must be like"),
        ("starts", "2199-01-01T00:00", "Start: must be within a year"),
    ],
)
def test_invalid_field_is_named_and_input_is_kept(
    rig: Rig, operator: Visitor, field: str, text: str, error: str
) -> None:
    form = {**FORM, "comment": NASTY, "starts": "", "until": "", field: text}
    answer = operator.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert error in html.unescape(answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert f">{html.escape(form['matchers'])}</textarea>" in answer.text
    assert f'value="{html.escape(form["comment"])}"' in answer.text
    assert "<script>alert" not in answer.text
    assert stored_silences(rig) == []


def test_matchers_and_comment_are_escaped(operator: Visitor) -> None:
    operator.post(PATH, FORM | {"matchers": f"name={NASTY}", "comment": NASTY + "\0"}, PATH)
    page = operator.get(PATH).text
    assert html.escape(NASTY) in page
    assert "<script>alert" not in page


def test_viewers_and_cross_site_requests_cannot_change_silences(
    rig: Rig, app: Flask, operator: Visitor
) -> None:
    operator.post(PATH, FORM, PATH)
    before = stored_silences(rig)
    assert_refused(app, PATH, FORM)
    assert_refused(app, f"{PATH}/{before[0].id}/end", {})
    assert logged_in(app, "viewer").get(PATH).status_code == 403
    assert operator.post(f"{PATH}/99/end", {}, PATH).status_code == 404
    assert stored_silences(rig) == before
