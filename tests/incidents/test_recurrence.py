import re
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents.recurrence import parse

BERLIN = ZoneInfo("Europe/Berlin")
local = datetime.fromisoformat
SUNDAY = local("2026-03-29T01:30")


def days(text: str, start: datetime, count: int = 4) -> list[str]:
    """The days of the first occurrences."""
    found = parse(text, start, BERLIN).between(start, start + timedelta(days=10 * 366))
    return [f"{moment:%Y-%m-%d}" for moment in found[:count]]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("FREQ=DAILY", SUNDAY, ["2026-03-29", "2026-03-30", "2026-03-31", "2026-04-01"]),
        ("FREQ=DAILY;INTERVAL=10;COUNT=2", SUNDAY, ["2026-03-29", "2026-04-08"]),
        ("freq=weekly", SUNDAY, ["2026-03-29", "2026-04-05", "2026-04-12", "2026-04-19"]),
        (
            "RRULE:FREQ=WEEKLY;BYDAY=SU,TU;UNTIL=20260405",
            SUNDAY,
            ["2026-03-29", "2026-03-31", "2026-04-05"],
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1SU",
            SUNDAY,
            ["2026-03-29", "2026-04-26", "2026-05-31", "2026-06-28"],
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3",
            local("2026-03-31"),
            ["2026-03-31", "2026-04-30", "2026-05-29"],
        ),
        (
            "FREQ=MONTHLY;BYDAY=WE;BYMONTHDAY=9,10,11,12,13,14,15;COUNT=2",
            local("2026-04-15"),
            ["2026-04-15", "2026-05-13"],
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2", local("2026-01-31"), ["2026-01-31", "2026-03-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=2", local("2026-01-31"), ["2026-01-31", "2026-02-28"]),
        (
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=2",
            local("2028-02-29"),
            ["2028-02-29", "2032-02-29"],
        ),
    ],
)
def test_rule_has_the_expected_days(text: str, start: datetime, expected: list[str]) -> None:
    assert days(text, start) == expected


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260331", "2026-03-31"),  # a date includes its day
        ("20260331T013000", "2026-03-31"),
        ("20260331T012900", "2026-03-30"),
        ("20260330T233000Z", "2026-03-31"),  # which is 01:30 in Berlin
        ("20260330T232900Z", "2026-03-30"),
    ],
)
def test_until_can_be_a_date_local_time_or_utc(until: str, last: str) -> None:
    assert days(f"FREQ=DAILY;UNTIL={until}", SUNDAY)[-1] == last


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "'' is not a part of a rule like FREQ=WEEKLY;BYDAY=SU"),
        ("every sunday", "is not a part of a rule"),
        ("INTERVAL=2", "FREQ is missing"),
        ("FREQ=HOURLY", "FREQ=HOURLY is not supported; use DAILY, WEEKLY, MONTHLY or YEARLY"),
        ("FREQ=SECONDLY", "is not supported"),
        ("FREQ=DAILY;BYHOUR=3", "BYHOUR is not supported"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;COUNT=1001", "COUNT=1001: must be from 1 to 1000"),
        ("FREQ=DAILY;COUNT=2,3", "COUNT and INTERVAL must be single numbers"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "can't be used together"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0: must be from 1 to 366"),
        ("FREQ=DAILY;INTERVAL=367", "INTERVAL=367: must be from 1 to 366"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL=TOMORROW: must be like 20261231"),
        ("FREQ=DAILY;BYMONTHDAY=29", "BYMONTHDAY needs FREQ=MONTHLY or YEARLY"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "must be from -31 to 31 and not 0"),
        ("FREQ=WEEKLY;BYDAY=SUN", "BYDAY=SUN: must be a day like SU"),
        ("FREQ=WEEKLY;BYDAY=1SU", "a number in BYDAY needs"),
        ("FREQ=WEEKLY;WKST=XX", "WKST=XX"),
        ("FREQ=YEARLY;BYDAY=-1SU", "need BYMONTH"),
        ("FREQ=MONTHLY;BYMONTHDAY=29;BYSETPOS=2", "BYSETPOS needs"),
        ("FREQ=WEEKLY;BYDAY=MO", "the start, Sunday, 2026-03-29, is not one of the dates"),
        ("FREQ=MONTHLY;BYDAY=1SU", "is not one of the dates"),
        ("FREQ=DAILY;UNTIL=20260328", "is not one of the dates"),
    ],
)
def test_invalid_or_expensive_rule_is_refused_with_the_reason(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        parse(text, SUNDAY, BERLIN)


@given(
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(1, 60)),
    st.sets(st.sampled_from(rrule.weekdays)),
    st.sampled_from(["MO", "SU"]),
    st.datetimes(local("2026-01-01"), local("2027-01-01")),
    st.integers(-30, 900),
    st.integers(0, 40),
)
def test_occurrences_from_any_day_equal_those_counted_from_the_start(
    frequency: str,
    interval: int,
    count: int | None,
    weekdays: set[rrule.weekday],
    week_start: str,
    start: datetime,
    after: int,
    length: int,
) -> None:
    start = start.replace(second=0, microsecond=0)
    text = f"FREQ={frequency};INTERVAL={interval};WKST={week_start}"
    if weekdays:
        chosen = weekdays | {rrule.weekdays[start.weekday()]}
        text += f";BYDAY={','.join(map(str, chosen))}"
    if count:
        text += f";COUNT={count}"
    first = start + timedelta(days=after, hours=-3)
    last = first + timedelta(days=length)
    expected = rrule.rrulestr(text, dtstart=start).between(first, last, inc=True)
    assert list(parse(text, start, BERLIN).between(first, last)) == expected


def test_rule_that_started_long_ago_is_as_fast_as_a_recent_one() -> None:
    rule = parse("FREQ=DAILY", local("2000-01-01"), BERLIN)
    began = time.process_time()
    for day in range(200):
        first = local("2190-01-01") + timedelta(days=day)
        assert len(rule.between(first, first + timedelta(days=2))) == 3
    assert time.process_time() - began < 1


def test_canonical_text_parses_to_the_same_rule() -> None:
    rule = parse("RRULE:freq=weekly;byday=su,tu;", SUNDAY, BERLIN)
    assert rule.text == "FREQ=WEEKLY;BYDAY=SU,TU"
    assert parse(rule.text, SUNDAY, BERLIN) == rule
