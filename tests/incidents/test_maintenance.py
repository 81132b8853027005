from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import Invalid
from monitor.incidents.maintenance import (
    MaintenanceWindow,
    extended,
    occurrences,
    parse,
    skipped_months,
    upcoming,
)
from monitor.incidents.silence import MuteSpan
from monitor.model import DAY, HOUR, MINUTE, format_time, parse_time

local = datetime.fromisoformat

# Days when clocks change, forwards and back. Tokyo has no such day; Lord Howe changes 30 minutes.
CHANGES = [
    ("Europe/Berlin", local("2026-03-29")),
    ("Europe/Berlin", local("2026-10-25")),
    ("America/New_York", local("2026-03-08")),
    ("America/New_York", local("2026-11-01")),
    ("Australia/Lord_Howe", local("2026-10-04")),
    ("Australia/Lord_Howe", local("2026-04-05")),
    ("Asia/Tokyo", local("2026-03-29")),
    ("Africa/Casablanca", local("2026-02-15")),
]
A_MINUTE = timedelta(minutes=1)


@cache
def clock(zone: str, day: datetime) -> list[tuple[int, datetime]]:
    """(ms, local time) of each minute from two days before `day` to four days after."""
    first = day.replace(tzinfo=UTC) - timedelta(days=2)
    minutes = [first + n * A_MINUTE for n in range(6 * 24 * 60)]
    return [
        (round(minute.timestamp() * 1000), minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
        for minute in minutes
    ]


def shown(minutes: list[tuple[int, datetime]], moment: datetime) -> list[int]:
    """When the local time is `moment`. If it is skipped, it is moved by the skipped time."""
    found = [at for at, wall in minutes if wall == moment]
    if found:
        return found
    after = next(n for n, (_, wall) in enumerate(minutes) if wall > moment)
    skipped = minutes[after][1] - minutes[after - 1][1] - A_MINUTE
    return shown(minutes, moment + skipped)


def brute_force(
    minutes: list[tuple[int, datetime]], start: datetime, stop: datetime
) -> list[tuple[int, int]]:
    """From the first time that the local time is `start` to the last time that it is `stop`. If
    only the start is skipped, it may move past the stop: then the window keeps its length."""
    begins, ends = min(shown(minutes, start)), max(shown(minutes, stop))
    if ends <= begins:
        ends = begins + round((stop - start).total_seconds() * 1000)
    return [(begins, ends)]


def in_utc(windows: list[tuple[int, int]]) -> list[str]:
    return [f"{format_time(start)[5:16]}/{format_time(stop)[5:16]}" for start, stop in windows]


@settings(max_examples=200)
@given(st.sampled_from(CHANGES), st.integers(-12 * 60, 24 * 60), st.integers(1, 30 * 60))
def test_window_starts_and_ends_at_local_times(
    change: tuple[str, datetime], begin: int, length: int
) -> None:
    zone, day = change
    start = day + begin * A_MINUTE
    stop = start + length * A_MINUTE
    window = MaintenanceWindow(ZoneInfo(zone), start, stop)
    minutes = clock(zone, day)
    expected = brute_force(minutes, start, stop)
    assert occurrences(window, minutes[0][0], minutes[-1][0]) == expected


@settings(max_examples=100)
@given(st.sampled_from(CHANGES), st.integers(0, 24 * 60 - 1), st.integers(1, 12 * 60))
def test_daily_window_starts_and_ends_at_local_times_each_day(
    change: tuple[str, datetime], begin: int, length: int
) -> None:
    zone, day = change
    first = local("2019-01-01") + begin * A_MINUTE
    window = parse(zone, first.isoformat(), (first + length * A_MINUTE).isoformat(), "FREQ=DAILY")
    minutes = clock(zone, day)
    expected = []
    for n in (-1, 0, 1):
        start = day + timedelta(days=n, minutes=begin)
        expected += brute_force(minutes, start, start + length * A_MINUTE)
    found = occurrences(window, minutes[0][0], minutes[-1][0])
    dates = {at: wall.date() for at, wall in minutes}
    near = {(day + timedelta(days=n)).date() for n in (-1, 0, 1)}
    assert [times for times in found if dates.get(times[0]) in near] == expected


@pytest.mark.parametrize(
    ("zone", "start", "stop", "expected"),
    [
        # Forwards: 02:00 is followed by 03:00.
        ("Europe/Berlin", "2026-03-28T22:00", "2026-03-29T06:00", "03-28T21:00/03-29T04:00"),
        ("Europe/Berlin", "2026-03-29T01:30", "2026-03-29T03:30", "03-29T00:30/03-29T01:30"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T04:00", "03-29T01:30/03-29T02:00"),
        ("America/New_York", "2026-03-07T22:00", "2026-03-08T06:00", "03-08T03:00/03-08T10:00"),
        ("America/New_York", "2026-03-08T01:30", "2026-03-08T02:30", "03-08T06:30/03-08T07:30"),
        # Back: 02:00 to 03:00 is shown twice; in New York 01:00 to 02:00.
        ("Europe/Berlin", "2026-10-24T22:00", "2026-10-25T06:00", "10-24T20:00/10-25T05:00"),
        ("Europe/Berlin", "2026-10-25T01:30", "2026-10-25T03:30", "10-24T23:30/10-25T02:30"),
        ("Europe/Berlin", "2026-10-25T02:15", "2026-10-25T02:45", "10-25T00:15/10-25T01:45"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T03:30", "11-01T05:30/11-01T08:30"),
        # Half an hour.
        ("Australia/Lord_Howe", "2026-10-04T01:30", "2026-10-04T03:00", "10-03T15:00/10-03T16:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:00", "2026-04-05T03:00", "04-04T14:00/04-04T16:30"),
    ],
)
def test_window_during_a_change_of_the_clocks(
    zone: str, start: str, stop: str, expected: str
) -> None:
    window = parse(zone, start, stop, None)
    found = occurrences(window, parse_time("2026-01-01T00:00:00Z"), parse_time("2027-01-01T00:00Z"))
    assert in_utc(found) == [expected]


@pytest.mark.parametrize(("stop", "expected"), [("03:00", "02:00"), ("03:15", "02:15")])
def test_window_with_its_skipped_start_moved_past_its_stop_keeps_its_length(
    stop: str, expected: str
) -> None:
    window = parse("Europe/Berlin", "2026-03-28T02:30", f"2026-03-28T{stop}", "FREQ=DAILY")
    sunday = parse_time("2026-03-29T00:00:00Z")
    assert in_utc(occurrences(window, sunday, sunday + DAY // 2)) == [
        f"03-29T01:30/03-29T{expected}"
    ]


@pytest.mark.parametrize(
    ("start", "rule", "skipped"),
    [
        ("2026-01-31", "FREQ=MONTHLY", ["2026-02", "2026-04", "2026-06"]),
        ("2026-01-30", "FREQ=MONTHLY", ["2026-02", "2027-02", "2028-02"]),
        ("2026-01-29", "FREQ=MONTHLY", ["2026-02", "2027-02", "2029-02"]),
        ("2026-01-28", "FREQ=MONTHLY", []),
        ("2026-01-31", "FREQ=MONTHLY;BYMONTHDAY=-1", []),
        ("2026-01-31", "FREQ=MONTHLY;BYMONTHDAY=15,31", []),
        ("2026-01-31", "FREQ=MONTHLY;INTERVAL=3", ["2026-04", "2027-04", "2028-04"]),
        ("2026-01-31", "FREQ=MONTHLY;COUNT=3", ["2026-02", "2026-04"]),
        ("2026-01-31", "FREQ=MONTHLY;UNTIL=20260401", ["2026-02"]),
        ("2026-01-29", "FREQ=MONTHLY;BYDAY=5TH", ["2026-02", "2026-03", "2026-05"]),
        ("2024-02-29", "FREQ=YEARLY", ["2026-02", "2027-02", "2029-02"]),
        ("2024-02-29", "FREQ=YEARLY;INTERVAL=4", []),
        ("2026-01-31", "FREQ=WEEKLY", []),
        ("2026-01-31", None, []),
    ],
)
def test_months_without_the_day_are_named(start: str, rule: str | None, skipped: list[str]) -> None:
    window = parse("Europe/Berlin", f"{start}T08:00", f"{start}T09:00", rule)
    found = skipped_months(window, parse_time("2026-02-10T12:00:00Z"), 3)
    assert [f"{month:%Y-%m}" for month in found] == skipped


def test_ended_maintenance_skips_no_months() -> None:
    window = parse("UTC", "2026-01-31T08:00", "2026-01-31T09:00", "FREQ=MONTHLY", ended_at=HOUR)
    assert skipped_months(window, parse_time("2026-01-31T12:00:00Z"), 3) == []


def test_occurrences_returns_only_windows_that_overlap_the_time() -> None:
    window = parse("UTC", "2026-01-05T22:00", "2026-01-06T06:00", "FREQ=WEEKLY")
    [(start, stop)] = occurrences(
        window, *(parse_time(f"2026-01-{day}T00:00Z") for day in (19, 20))
    )
    assert occurrences(window, stop - 1, stop) == [(start, stop)]
    assert occurrences(window, stop, stop + HOUR) == []
    assert occurrences(window, start - HOUR, start) == []
    assert occurrences(window, start, start + 1) == [(start, stop)]


def test_ended_maintenance_is_cut_short_and_does_not_recur() -> None:
    start, midnight = parse_time("2026-01-05T22:00:00Z"), parse_time("2026-01-06T00:00:00Z")
    window = parse("UTC", "2026-01-05T22:00", "2026-01-06T06:00", "FREQ=DAILY")
    ended = MaintenanceWindow(window.zone, window.start, window.stop, window.recurrence, midnight)
    assert occurrences(ended, start - DAY, start + 9 * DAY) == [(start, midnight)]
    assert upcoming(ended, midnight, 3) == []
    assert len(upcoming(window, midnight, 3)) == 3


def test_upcoming_finds_windows_years_ahead() -> None:
    window = parse(
        "UTC", "2024-02-29T08:00", "2024-02-29T09:00", "FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2"
    )
    assert in_utc(upcoming(window, parse_time("2026-01-01T00:00:00Z"), 3)) == [
        "02-29T08:00/02-29T09:00",
        "02-29T08:00/02-29T09:00",
    ]


@pytest.mark.parametrize(
    ("field", "zone", "start", "stop", "rule"),
    [
        ("zone", "Berlin", "2026-03-29T01:30", "2026-03-29T03:30", None),
        ("zone", "../etc/passwd", "2026-03-29T01:30", "2026-03-29T03:30", None),
        ("zone", "Europe", "2026-03-29T01:30", "2026-03-29T03:30", None),
        ("zone", "", "2026-03-29T01:30", "2026-03-29T03:30", None),
        ("start", "UTC", "tonight", "2026-03-29T03:30", None),
        ("start", "UTC", "2026-03-29T01:30Z", "2026-03-29T03:30", None),
        ("start", "UTC", "2026-03-29T01:30:30", "2026-03-29T03:30", None),
        ("start", "UTC", "1026-03-29T01:30", "2026-03-29T03:30", None),
        ("stop", "UTC", "2026-03-29T01:30", "2026-03-29T01:30", None),
        ("stop", "UTC", "2026-03-29T01:30", "2028-03-29T01:30", None),
        ("recurrence", "UTC", "2026-03-29T01:30", "2026-03-29T03:30", "FREQ=HOURLY"),
        ("recurrence", "UTC", "2026-03-29T01:30", "2026-03-29T03:30", "FREQ=DAILY;" * 50),
    ],
)
def test_invalid_window_is_refused_with_its_field(
    field: str, zone: str, start: str, stop: str, rule: str | None
) -> None:
    with pytest.raises(Invalid) as refused:
        parse(zone, start, stop, rule)
    assert refused.value.field == field


NIGHT = MuteSpan(100 * HOUR, 108 * HOUR, "night")


@pytest.mark.parametrize(
    ("opened_at", "stops"),
    [
        (NIGHT.start - 1, NIGHT.stop),
        (NIGHT.start, NIGHT.stop + 10 * MINUTE),
        (NIGHT.stop + 10 * MINUTE - 1, NIGHT.stop + 10 * MINUTE),
        (NIGHT.stop + 10 * MINUTE, NIGHT.stop),
    ],
)
def test_incident_opened_in_a_window_is_held_a_threshold_longer(opened_at: int, stops: int) -> None:
    [span] = extended([NIGHT], opened_at, 10 * MINUTE)
    assert span == NIGHT._replace(stop=stops)


@pytest.mark.parametrize(("pause", "longer"), [(0, True), (10 * MINUTE, True), (HOUR, False)])
def test_extension_into_a_following_window_extends_that_one_too(pause: int, longer: bool) -> None:
    extension = MuteSpan(NIGHT.stop + pause, NIGHT.stop + pause + HOUR, "extension")
    spans = extended([extension, NIGHT], NIGHT.start + HOUR, 10 * MINUTE)
    assert spans[1].stop == extension.stop + 10 * MINUTE * longer
