"""The administration page of maintenance."""

import html
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from monitor.model import HOUR, parse_time
from monitor.outbox.wording import local
from monitor.services.maintenance import listed
from monitor.services.silences import Phase
from monitor.state.silences import MaintenanceRow
from monitor.web.admin import recurrence_text
from tests.web.fleet_rig import Rig
from tests.web.operator_app import NASTY, assert_refused, build_operator_app, operator_of, trail
from tests.web.visitors import Visitor, logged_in

PATH = "/admin/maintenance"
FORM = {
    "name": "Boiler service",
    "matchers": "site=Cellar",
    "zone": "Europe/Berlin",
    "start": "2026-03-01T01:30",
    "stop": "2026-03-01T03:30",
    "repeats": "once",
}


@pytest.fixture
def app(rig: Rig) -> Flask:
    rig.clock.ahead = parse_time("2026-02-25T12:00:00Z") - rig.clock.now()
    return build_operator_app(rig, zone=ZoneInfo("Asia/Tokyo"))


@pytest.fixture
def operator(app: Flask) -> Visitor:
    return operator_of(app)


def stored_maintenance(rig: Rig, phase: Phase | None = None) -> list[MaintenanceRow]:
    return listed(rig.engine, phase, rig.clock.now())


def test_window_is_scheduled_shown_and_ended(rig: Rig, operator: Visitor) -> None:
    assert 'name="zone" value="Asia/Tokyo"' in operator.get(PATH).text
    assert operator.post(PATH, FORM, PATH).location == f"{PATH}?state=upcoming"
    (row,) = stored_maintenance(rig, "upcoming")
    assert (row.zone, row.start, row.recurrence) == ("Europe/Berlin", FORM["start"], None)
    page = operator.get(f"{PATH}?state=upcoming").text
    assert "Boiler service scheduled. It matches 1 sensor now." in page
    assert "planned in Europe/Berlin" in page
    assert 'datetime="2026-03-01T00:30:00.000Z"' in page
    operator.post(f"{PATH}/{row.id}/end", {}, PATH)
    assert (
        "Boiler service ended. It has no more windows." in operator.get(f"{PATH}?state=past").text
    )
    operator.post(f"{PATH}/{row.id}/end", {}, PATH)
    assert "Boiler service had already ended." in operator.get(PATH).text
    assert [each[:3] for each in trail(rig)] == [
        ("operator", "maintenance ended", "Boiler service"),
        ("operator", "maintenance scheduled", "Boiler service"),
    ]


@pytest.mark.parametrize(
    ("choice", "rule", "words"),
    [
        ({"repeats": "DAILY"}, "FREQ=DAILY", "every day"),
        ({"repeats": "WEEKLY"}, "FREQ=WEEKLY", "every Sunday"),
        ({"repeats": "WEEKLY", "day": "SU"}, "FREQ=WEEKLY;BYDAY=SU", "every Sunday"),
        ({"repeats": "MONTHLY"}, "FREQ=MONTHLY", "every month on day 1"),
        (
            {
                "repeats": "MONTHLY;BYMONTHDAY=-1",
                "start": "2026-02-28T01:30",
                "stop": "2026-02-28T03:30",
            },
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            "every month on the last day",
        ),
        ({"repeats": "rule", "rule": "freq=monthly;byday=1SU"}, "FREQ=MONTHLY;BYDAY=1SU", None),
    ],
)
def test_recurrence_is_a_choice_or_a_rule(
    rig: Rig, operator: Visitor, choice: dict[str, str], rule: str, words: str | None
) -> None:
    operator.post(PATH, FORM | choice, PATH)
    (row,) = stored_maintenance(rig)
    assert row.recurrence == rule
    page = operator.get(f"{PATH}?state=upcoming").text
    assert f'<span class="often">{words or rule}</span>' in page
    assert page.count("</time> to <time") == 3


def test_ongoing_window_is_listed_as_current(rig: Rig, operator: Visitor) -> None:
    now = local(rig.clock.now() - HOUR, ZoneInfo("UTC"))
    later = local(rig.clock.now() + HOUR, ZoneInfo("UTC"))
    times = {"start": f"{now:%Y-%m-%dT%H:%M}", "stop": f"{later:%Y-%m-%dT%H:%M}", "zone": "UTC"}
    assert operator.post(PATH, FORM | times, PATH).location == f"{PATH}?state=current"
    assert "1 sensor now" in operator.get(PATH).text


def test_text_of_a_weekly_rule_lists_all_its_days() -> None:
    assert recurrence_text.often("FREQ=WEEKLY;BYDAY=MO,WE,SU", "2026-03-29T01:30") == (
        "every Monday, Wednesday and Sunday"
    )


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"name": " "}, "Name: is required"),
        ({"matchers": "Cellar"}, "Sensors: 'Cellar' is not a matcher"),
        ({"zone": "Mars"}, "Time zone: must be a time zone such as Europe/Berlin, not 'Mars'"),
        ({"start": "soon"}, "Start: must be like"),
        ({"stop": "2026-03-01T01:00"}, "End: must be after the start"),
        ({"start": "2020-01-01T00:00", "stop": "2020-01-01T01:00"}, "End: must be in the future"),
        ({"repeats": "hourly"}, "Repeats: must be one of the options"),
        ({"repeats": "WEEKLY", "day": "MO"}, "Repeats: the start, "),
        ({"repeats": "rule", "rule": "often"}, "Repeats: 'OFTEN' is not a part"),
    ],
)
def test_invalid_field_is_named_and_input_is_kept(
    rig: Rig, operator: Visitor, values: dict[str, str], error: str
) -> None:
    form = FORM | {"name": NASTY, "rule": NASTY} | values
    answer = operator.post(PATH, form, PATH)
    assert answer.status_code == 400
    assert error in html.unescape(answer.text)
    assert 'aria-invalid="true"' in answer.text
    for field in ("name", "zone", "start", "stop", "rule"):
        assert f'name="{field}" ' in answer.text
        assert f'value="{html.escape(form[field])}"' in answer.text
    assert ('value="MO" checked' in answer.text) is ("day" in form)
    assert "<script>alert" not in answer.text
    assert stored_maintenance(rig) == []


def test_viewers_and_cross_site_requests_cannot_change_maintenance(
    rig: Rig, app: Flask, operator: Visitor
) -> None:
    operator.post(PATH, FORM, PATH)
    before = stored_maintenance(rig)
    assert_refused(app, PATH, FORM)
    assert_refused(app, f"{PATH}/{before[0].id}/end", {})
    assert logged_in(app, "viewer").get(PATH).status_code == 403
    assert operator.post(f"{PATH}/99/end", {}, PATH).status_code == 404
    assert stored_maintenance(rig) == before


def test_months_without_the_day_of_a_window_are_named(operator: Visitor) -> None:
    at = {"start": "2026-03-31T01:30", "stop": "2026-03-31T03:30", "repeats": "MONTHLY"}
    operator.post(PATH, FORM | at, PATH)
    page = operator.get(f"{PATH}?state=upcoming").text
    skipped = "Months without this day are skipped: April 2026, June 2026, September 2026."
    assert page.count(skipped) == 2, "once where it was planned, once in the list"
