"""On which days a window recurs: the part of RFC 5545's RRULE that is cheap to expand.

Each occurrence has the local time of day of the first one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from dateutil import rrule

MOST_OCCURRENCES = 1_000
LONGEST_INTERVAL = 366
_LOOK_FOR_SKIPPED = timedelta(days=9 * 366)

Frequency = Literal[0, 1, 2, 3]
"""YEARLY to DAILY, with the numbers of dateutil."""

_FREQUENCIES: dict[str, Frequency] = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
    "YEARLY": rrule.YEARLY,
}
_STEPS = {rrule.DAILY: timedelta(days=1), rrule.WEEKLY: timedelta(weeks=1)}
_DAYS = {str(day): day for day in rrule.weekdays}
_DAY = re.compile(r"(?P<n>[+-]?[1-5])?(?P<day>MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_PARTS = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"}
)


@dataclass(frozen=True)
class Recurrence:
    """A rule; `text` is its canonical form."""

    text: str
    start: datetime
    """The first occurrence, in local time, like all others."""
    frequency: Frequency
    interval: int
    count: int | None
    until: datetime | None
    days: tuple[rrule.weekday, ...]
    month_days: tuple[int, ...]
    months: tuple[int, ...]
    positions: tuple[int, ...]
    week_start: rrule.weekday

    def between(self, first: datetime, last: datetime) -> tuple[datetime, ...]:
        """The occurrences from `first` to `last`, inclusive."""
        return _between(self, first, last)

    def skipped_months(self, after: datetime, most: int) -> list[datetime]:
        """The first days of the first months, from that of `after`, in which the rule would apply
        but has no date, such as February for the 31st. At most `most`, within nine years."""
        first = max(_month(after), self.start)
        last = first + _LOOK_FOR_SKIPPED
        dates = self.between(first, last)
        if self.count is not None or self.until is not None:
            last = dates[-1] if dates else first
        dated = {_month(date) for date in dates}
        months = self._months(_month(last))
        due = (month for month in months if first <= month and month not in dated)
        return list(islice(due, most))

    def _months(self, last: datetime) -> Iterator[datetime]:
        """The months before `last`, a first day, to which the rule applies if it is monthly or
        yearly."""
        if self.frequency not in (rrule.MONTHLY, rrule.YEARLY):
            return iter(())
        yearly = self.frequency == rrule.YEARLY
        months = self.months or ((self.start.month,) if yearly else None)
        return iter(
            rrule.rrule(
                self.frequency,
                dtstart=_month(self.start),
                interval=self.interval,
                until=last - timedelta(days=1),
                bymonth=months,
                bymonthday=1,
            )
        )

    def _from(self, first: datetime) -> Iterator[datetime]:
        """The occurrences in order; may omit those before `first`, to save time."""
        start = self.start
        if self.frequency in _STEPS and self.count is None and first > start:
            stride = self.interval * _STEPS[self.frequency]
            start += (first - start) // stride * stride
        return iter(
            rrule.rrule(
                self.frequency,
                dtstart=start,
                interval=self.interval,
                wkst=self.week_start,
                count=self.count,
                until=self.until,
                byweekday=self.days or None,
                bymonthday=self.month_days or None,
                bymonth=self.months or None,
                bysetpos=self.positions or None,
            )
        )


def _month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0)


@lru_cache(maxsize=1024)
def _between(recurrence: Recurrence, first: datetime, last: datetime) -> tuple[datetime, ...]:
    found = []
    for moment in recurrence._from(first):
        if moment > last:
            break
        if moment >= first:
            found.append(moment)
    return tuple(found)


def parse(text: str, start: datetime, zone: ZoneInfo) -> Recurrence:
    """Parses a rule such as FREQ=WEEKLY;BYDAY=SU, for a window that first starts at `start` in
    local time.

    Raises ValueError for an invalid rule, one that recurs within a day or is expensive to expand,
    and one that does not occur at `start`.
    """
    parts = _split(text)
    frequency = _FREQUENCIES.get(parts["FREQ"])
    if frequency is None:
        raise ValueError(f"FREQ={parts['FREQ']} is not supported; use {_or(_FREQUENCIES)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT and UNTIL can't be used together")
    count = _numbers(parts, "COUNT", 1, MOST_OCCURRENCES)
    interval = _numbers(parts, "INTERVAL", 1, LONGEST_INTERVAL)
    if len(count) > 1 or len(interval) > 1:
        raise ValueError("COUNT and INTERVAL must be single numbers")
    recurrence = Recurrence(
        text=";".join(f"{name}={value}" for name, value in parts.items()),
        start=start,
        frequency=frequency,
        interval=interval[0] if interval else 1,
        count=count[0] if count else None,
        until=_until(parts["UNTIL"], zone) if "UNTIL" in parts else None,
        days=_days(parts),
        month_days=_numbers(parts, "BYMONTHDAY", -31, 31),
        months=_numbers(parts, "BYMONTH", 1, 12),
        positions=_numbers(parts, "BYSETPOS", -4, 4),
        week_start=_week_start(parts.get("WKST", "MO")),
    )
    _require_cheap(recurrence)
    if not _may_fall_on_start(recurrence) or next(recurrence._from(start), None) != start:
        raise ValueError(
            f"the start, {start:%A, %Y-%m-%d}, is not one of the dates that the rule gives"
        )
    return recurrence


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").strip(";").split(";"):
        name, equals, value = part.strip().partition("=")
        if not equals or not value:
            raise ValueError(f"{part[:40]!r} is not a part of a rule like FREQ=WEEKLY;BYDAY=SU")
        if name not in _PARTS:
            raise ValueError(f"{name[:40]} is not supported; use {_or(sorted(_PARTS))}")
        if name in parts:
            raise ValueError(f"{name} is given twice")
        parts[name] = value
    if "FREQ" not in parts:
        raise ValueError(f"FREQ is missing; use one of {_or(_FREQUENCIES)}")
    return parts


def _numbers(parts: Mapping[str, str], name: str, least: int, most: int) -> tuple[int, ...]:
    if name not in parts:
        return ()
    try:
        numbers = sorted({int(number) for number in parts[name].split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < least or numbers[-1] > most or 0 in numbers:
        nonzero = " and not 0" if least < 0 else ""
        raise ValueError(f"{name}={parts[name][:40]}: must be from {least} to {most}{nonzero}")
    return tuple(numbers)


def _days(parts: Mapping[str, str]) -> tuple[rrule.weekday, ...]:
    days = []
    for text in parts["BYDAY"].split(",") if "BYDAY" in parts else ():
        day = _DAY.fullmatch(text)
        if day is None:
            raise ValueError(f"BYDAY={text[:40]}: must be a day like SU, 2SU or -1SU")
        days.append(_DAYS[day["day"]](int(day["n"])) if day["n"] else _DAYS[day["day"]])
    return tuple(days)


def _week_start(text: str) -> rrule.weekday:
    if text not in _DAYS:
        raise ValueError(f"WKST={text[:40]}: must be a day like MO")
    return _DAYS[text]


def _until(text: str, zone: ZoneInfo) -> datetime:
    """The end in local time; a date without a time includes that day."""
    for form in ("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ"):
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 (given a zone below)
        except ValueError:
            continue
        if form == "%Y%m%d":
            return moment + timedelta(days=1, seconds=-1)
        if form.endswith("Z"):
            return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        return moment
    raise ValueError(f"UNTIL={text[:40]}: must be like 20261231 or 20261231T230000Z")


def _require_cheap(rule: Recurrence) -> None:
    """Raises ValueError for rules that may find nothing for centuries, or that RFC 5545 forbids."""
    monthly = rule.frequency in (rrule.MONTHLY, rrule.YEARLY)
    if rule.month_days and not monthly:
        raise ValueError("BYMONTHDAY needs FREQ=MONTHLY or YEARLY")
    if any(day.n for day in rule.days) and not monthly:
        raise ValueError("a number in BYDAY needs FREQ=MONTHLY or YEARLY")
    if rule.frequency == rrule.YEARLY and (rule.days or rule.month_days) and not rule.months:
        raise ValueError("with FREQ=YEARLY, BYDAY and BYMONTHDAY need BYMONTH")
    if rule.positions and (
        rule.frequency != rrule.MONTHLY
        or not rule.days
        or rule.month_days
        or any(day.n for day in rule.days)
    ):
        raise ValueError("BYSETPOS needs FREQ=MONTHLY and BYDAY without numbers or BYMONTHDAY")


def _may_fall_on_start(rule: Recurrence) -> bool:
    """Whether the start fits each part by itself; then searching the first occurrence is fast."""
    start = rule.start
    following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    from_end = (start.date() - following.date()).days
    return (
        (not rule.months or start.month in rule.months)
        and (not rule.month_days or bool({start.day, from_end} & set(rule.month_days)))
        and (not rule.days or start.weekday() in {day.weekday for day in rule.days})
        and (rule.until is None or start <= rule.until)
    )


def _or(names: Mapping[str, object] | list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
