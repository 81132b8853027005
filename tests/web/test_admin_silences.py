"""Operators begin and end silences by their page."""

import html
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from monitor.model import DAY, HOUR
from monitor.outbox.wording import local
from monitor.services.silences import Phase, listed
from monitor.state.silences import SilenceRow
from tests.web.fleet_rig import Rig
from tests.web.operating import NASTY, operated, operator_of, refuses, trail
from tests.web.visitors import Visitor, logged_in

PATH = "/admin/silences"
ZONE = ZoneInfo("Europe/Berlin")
FORM = {"matchers": "site=Cellar|Harbour\n\nname=Boiler", "lasts": str(HOUR), "comment": "Repair"}


@pytest.fixture
def app(rig: Rig) -> Flask:
    return operated(rig, zone=ZONE)


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return operator_of(app)


def there(rig: Rig, phase: Phase | None = None) -> list[SilenceRow]:
    return listed(rig.engine, phase, rig.clock.now())


def typed(rig: Rig, ahead: int) -> str:
    """A moment so far ahead, as a browser's field of local time sends it."""
    return f"{local(rig.clock.now() + ahead, ZONE):%Y-%m-%dT%H:%M}"


def test_a_silence_begins_says_how_many_it_covers_and_is_ended_early(
    rig: Rig, operator: Visitor
) -> None:
    assert operator.post(PATH, FORM, PATH).location == f"{PATH}?state=current"
    (row,) = there(rig)
    assert row.matchers == ("site=Cellar|Harbour", "name=Boiler")
    assert (row.ends_at - row.starts_at, row.created_by) == (HOUR, "operator")
    page = operator.get(PATH).text
    assert "Silence 1 has started. It matches 1 sensor now." in page
    assert "1 sensor now · by operator" in page
    operator.post(f"{PATH}/{row.id}/end", {}, PATH)
    assert there(rig) == []
    assert "Silence 1 ended." in operator.get(PATH).text
    assert "Repair" in operator.get(f"{PATH}?state=past").text
    operator.post(f"{PATH}/{row.id}/end", {}, PATH)
    assert "Silence 1 had already ended." in operator.get(PATH).text
    assert [(who, what, of) for who, what, of, _ in trail(rig)] == [
        ("operator", "silence ended", "1"),
        ("operator", "silence started", "1"),
    ]
    assert trail(rig)[1][3]["comment"] == "Repair"


def test_it_may_begin_later_and_last_until_a_moment_by_the_service_s_clocks(
    rig: Rig, operator: Visitor
) -> None:
    times = {"starts": typed(rig, DAY), "lasts": "until", "until": typed(rig, 2 * DAY)}
    assert operator.post(PATH, FORM | times, PATH).location == f"{PATH}?state=upcoming"
    (row,) = there(rig, "upcoming")
    assert f"{local(row.starts_at, ZONE):%Y-%m-%dT%H:%M}" == times["starts"]
    assert f"{local(row.ends_at, ZONE):%Y-%m-%dT%H:%M}" == times["until"]
    assert "No active silences" in operator.get(PATH).text
    assert ">Cancel</button>" in operator.get(f"{PATH}?state=upcoming").text


@pytest.mark.parametrize(
    ("field", "text", "told"),
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
def test_what_is_wrong_is_named_and_what_was_typed_stays(
    rig: Rig, operator: Visitor, field: str, text: str, told: str
) -> None:
    form = {**FORM, "comment": NASTY, "starts": "", "until": "", field: text}
    answer = operator.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert told in html.unescape(answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert f">{html.escape(form['matchers'])}</textarea>" in answer.text
    assert f'value="{html.escape(form["comment"])}"' in answer.text
    assert "<script>alert" not in answer.text
    assert there(rig) == []


def test_a_silence_of_strange_names_is_only_text(operator: Visitor) -> None:
    operator.post(PATH, FORM | {"matchers": f"name={NASTY}", "comment": NASTY + "\0"}, PATH)
    page = operator.get(PATH).text
    assert html.escape(NASTY) in page
    assert "<script>alert" not in page


def test_viewers_foreign_pages_and_strangers_begin_and_end_nothing(
    rig: Rig, app: Flask, operator: Visitor
) -> None:
    operator.post(PATH, FORM, PATH)
    before = there(rig)
    refuses(app, PATH, FORM)
    refuses(app, f"{PATH}/{before[0].id}/end", {})
    assert logged_in(app, "viewer").get(PATH).status_code == 403
    assert operator.post(f"{PATH}/99/end", {}, PATH).status_code == 404
    assert there(rig) == before
