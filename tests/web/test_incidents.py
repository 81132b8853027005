"""The list of incidents and the page of one incident: content and changes."""

import html
import re

import pytest
from flask import Flask

from monitor.model import DAY, HOUR, MINUTE, IncidentView
from monitor.services import silences as silence_service
from monitor.state import ledger
from monitor.state.database import reading
from monitor.web.incidents import pages
from tests.cases import Cases
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
from tests.web.visitors import Visitor, logged_in

PATH = "/incidents"
SILENCE = {"lasts": str(4 * HOUR), "comment": "on the way"}


@pytest.fixture
def app(rig: Rig) -> Flask:
    return build_operator_app(rig)


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return operator_of(app)


@pytest.fixture
def cases(rig: Rig) -> Cases:
    return Cases(rig.engine, rig.clock.now())


@pytest.fixture
def three_incidents(cases: Cases) -> tuple[int, int, int]:
    """Boiler and STRANGE are down in one group; Pump recovered two days ago."""
    ended = cases.now - 2 * DAY
    old = cases.incident(
        PUMP,
        cases.group("site:Harbour"),
        last_seen=ended - HOUR,
        opened_at=ended - HOUR,
        closed_at=ended,
        recovered_at=ended,
        closed_reason="recovered",
    )
    group = cases.group("alone")
    boiler = cases.incident(BOILER, group)
    strange = cases.incident(STRANGE, group, last_seen=cases.now - 42 * MINUTE)
    cases.message(group, [boiler, strange], [(cases.now, "sent", None)])
    return old, boiler, strange


def case(rig: Rig, number: int) -> IncidentView:
    with reading(rig.engine) as connection:
        found = ledger.find(connection, number)
    assert found
    return found


def listed(visitor: Visitor, query: str = "") -> list[int]:
    """The incidents on the page, in order."""
    answer = visitor.get(f"{PATH}{query}")
    assert answer.status_code == 200
    return [int(number) for number in re.findall(r'href="/incidents/(\d+)"', answer.text)]


def test_open_incidents_are_listed_by_default_and_past_ones_on_request(
    operator: Visitor, three_incidents: tuple[int, int, int]
) -> None:
    old, boiler, strange = three_incidents
    assert listed(operator) == [strange, boiler]
    assert listed(operator, "?state=past") == [old]
    assert listed(operator, "?state=all") == [strange, boiler, old]
    page = operator.get(PATH).text
    assert "2 open incidents, 2 not acknowledged." in page
    assert html.escape(NASTY) in page
    assert "42 min" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=boil", {BOILER}),
        ("?q=00:00:0a", {BOILER}),
        ("?q=nothing", set()),
        ("?site=Cellar", {BOILER}),
        ("?known=yes", set()),
        ("?known=no", {BOILER, STRANGE}),
        ("?state=all&since=1", {BOILER, STRANGE}),
        ("?state=all&since=7", {BOILER, STRANGE, PUMP}),
        ("?state=past&site=Harbour&q=pump", {PUMP}),
        ("?state=nonsense&since=x&known=%00&before=-1", {BOILER, STRANGE}),
    ],
)
def test_filters_are_in_the_url(
    rig: Rig,
    operator: Visitor,
    three_incidents: tuple[int, int, int],
    query: str,
    found: set[int],
) -> None:
    assert {case(rig, number).mac for number in listed(operator, query)} == found


def test_long_list_is_paged(operator: Visitor, cases: Cases) -> None:
    group = cases.group()
    numbers = [cases.incident(mac, group) for mac in range(pages.PAGE + 1)]
    assert listed(operator) == numbers[:0:-1]
    last = numbers[1]
    assert f"/incidents?before={last}" in operator.get(PATH).text
    assert listed(operator, f"?before={last}") == [numbers[0]]


def test_incidents_are_acknowledged_at_once_and_counted_by_result(
    rig: Rig, operator: Visitor, three_incidents: tuple[int, int, int]
) -> None:
    old, boiler, strange = three_incidents
    chosen = {"id": [str(old), str(boiler), str(strange), "999"], "q": "o", "state": "all"}
    answer = operator.post(f"{PATH}/acknowledge", chosen, PATH)
    assert answer.location == "/incidents?state=all&q=o"
    assert "2 incidents acknowledged, 1 already closed, 1 not found." in operator.get(PATH).text
    assert case(rig, boiler).acknowledged_by == case(rig, strange).acknowledged_by == "operator"
    assert trail(rig)[0][:2] == ("operator", "incidents acknowledged")
    assert "2 open incidents, all acknowledged." in operator.get(PATH).text
    operator.post(f"{PATH}/acknowledge", {"id": str(boiler), "page": str(boiler)}, PATH)
    assert "0 incidents acknowledged, 1 already acknowledged." in operator.get(PATH).text
    assert len(trail(rig)) == 1


def test_several_sensors_are_silenced_by_one_silence(
    rig: Rig, operator: Visitor, three_incidents: tuple[int, int, int]
) -> None:
    _old, boiler, strange = three_incidents
    chosen = {"id": [str(boiler), str(strange)], **SILENCE}
    assert operator.post(f"{PATH}/silence", chosen, PATH).location == PATH
    page = operator.get(PATH).text
    assert "2 sensors silenced for 4 h." in page
    assert page.count(">muted</span>") == 2
    (row,) = silence_service.listed(rig.engine, "current", rig.clock.now())
    assert row.matchers == ("mac=02:00:00:00:00:0a|02:00:00:00:00:0c",)
    assert (row.comment, row.created_by) == ("on the way", "operator")
    assert trail(rig)[0][:3] == ("operator", "silence started", str(row.id))


@pytest.mark.parametrize(
    ("path", "form", "error"),
    [
        ("acknowledge", {}, "Incidents: must include at least one incident."),
        ("acknowledge", {"id": "²"}, "Incidents: must be numbers."),
        ("acknowledge", {"id": "9" * 30}, "Incidents: must be numbers."),
        ("acknowledge", {"id": "9" * 5_000}, "Incidents: must be numbers."),
        ("acknowledge", {"id": ["1"] * 1_001}, "Incidents: must include at most 1,000 incidents."),
        ("silence", {"id": "999", **SILENCE}, "Incidents: must include an incident that exists."),
        ("silence", {"id": "1", **SILENCE, "lasts": "1"}, "Duration: "),
        ("silence", {"id": "1", **SILENCE, "comment": " "}, "Reason: "),
    ],
)
def test_invalid_input_is_refused_and_kept_in_the_form(
    rig: Rig, operator: Visitor, cases: Cases, path: str, form: dict[str, str], error: str
) -> None:
    cases.incident(BOILER, cases.group())
    for page in ("", "1"):
        answer = operator.post(f"{PATH}/{path}", form | {"page": page}, PATH)
        assert answer.status_code == 400
        assert error in answer.text
        assert 'role="alert"' in answer.text
        if form.get("comment", " ").strip():
            assert f'value="{form["comment"]}"' in answer.text
    assert trail(rig) == []


def test_incident_page_shows_the_timeline_and_the_other_incidents_of_the_group(
    operator: Visitor, three_incidents: tuple[int, int, int]
) -> None:
    old, boiler, strange = three_incidents
    page = operator.get(f"{PATH}/{boiler}").text
    assert "Boiler is down" in page
    assert "<b>email</b>: the alert was sent" in page
    assert "1 more incident shares its messages with this one" in page
    assert f'href="/incidents/{strange}"' in page
    assert html.escape(NASTY) in page
    assert ">Acknowledge</button>" in page
    answer = operator.post(
        f"{PATH}/acknowledge", {"id": str(boiler), "page": str(boiler)}, f"{PATH}/{boiler}"
    )
    assert answer.location == f"{PATH}/{boiler}"
    page = operator.get(answer.location).text
    assert "acknowledged by operator" in page
    assert ">Acknowledge</button>" not in page
    closed = operator.get(f"{PATH}/{old}").text
    assert "Pump was down" in closed
    assert "recovered" in closed
    assert '<form method="post" action="/incidents' not in closed
    assert operator.get(f"{PATH}/999").status_code == 404


def test_viewer_can_read_but_not_change(app: Flask, three_incidents: tuple[int, int, int]) -> None:
    _old, boiler, _strange = three_incidents
    viewer = logged_in(app, "viewer")
    for path in (PATH, f"{PATH}/{boiler}"):
        page = viewer.get(path).text
        assert "Boiler" in page
        assert "Acknowledge</button>" not in page
        assert "checkbox" not in page
    assert_refused(app, f"{PATH}/acknowledge", {"id": str(boiler)})
    assert_refused(app, f"{PATH}/silence", {"id": str(boiler), **SILENCE})


def test_error_of_a_form_on_a_sensor_page_is_shown_on_that_page(
    operator: Visitor, three_incidents: tuple[int, int, int]
) -> None:
    _old, boiler, _strange = three_incidents
    form = {"id": str(boiler), "sensor": "02:00:00:00:00:0a", **SILENCE, "comment": " "}
    answer = operator.post(f"{PATH}/silence", form)
    assert answer.status_code == 400
    assert "Boiler down · heartbeat-monitor" in answer.text
    assert 'role="alert">Reason: is required.</p>' in answer.text
    answer = operator.post(f"{PATH}/silence", {**form, "comment": "painting"})
    assert answer.headers["Location"] == "/sensors/02:00:00:00:00:0a"
    assert operator.post(f"{PATH}/acknowledge", {"sensor": "nonsense"}).status_code == 404
