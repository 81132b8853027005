"""Maintenance: windows in the local time of a time zone, once or recurring.

A window starts and stops in local time, so 22:00 to 06:00 lasts seven or nine hours when the clocks
change. A start or stop that the clocks skip moves by the skipped time (PEP 495). If the start
moves to the stop or past it, the window keeps its length. Of a time that occurs twice, a start is
the first, a stop the second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor.errors import Invalid
from monitor.incidents import recurrence
from monitor.incidents.matching import Matchers
from monitor.incidents.recurrence import Recurrence
from monitor.incidents.silence import MuteSpan, reason
from monitor.model import DAY, ZONE_OFFSET

LONGEST = timedelta(days=366)
LONGEST_NAME = 200
LONGEST_RECURRENCE = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZONE_OFFSET = timedelta(milliseconds=ZONE_OFFSET)
_YEARS = range(2000, 2200)
_AHEAD = (35 * DAY, 400 * DAY, 8 * 366 * DAY)


@dataclass(frozen=True)
class MaintenanceWindow:
    """When maintenance is done: start and stop of the first occurrence, in local time."""

    zone: ZoneInfo
    start: datetime
    stop: datetime
    recurrence: Recurrence | None = None
    ended_at: int | None = None
    """If it was ended early: when (ms). It does not recur after that."""


@dataclass(frozen=True)
class Maintenance:
    """Holds messages about matching sensors during the window."""

    id: int
    name: str
    matchers: Matchers
    window: MaintenanceWindow

    def spans(self, since: int, until: int) -> list[MuteSpan]:
        """Its occurrences that overlap the time from `since` to `until` (ms)."""
        why = reason("maintenance", self.id, self.name)
        return [MuteSpan(*times, why) for times in occurrences(self.window, since, until)]


def extended(windows: Iterable[MuteSpan], opened_at: int, threshold: int) -> list[MuteSpan]:
    """The windows, as they hold the messages about one incident (except its recovery).

    An incident that was open before a window is held until the window stops. Otherwise maintenance
    may have caused the silence, so the incident is held for one threshold longer: the sensor has
    that time to report. If the next window starts within it, it is extended likewise.
    """
    spans: list[MuteSpan] = []
    extended_until: int | None = None
    for span in sorted(windows):
        opened_within = span.start <= opened_at < span.stop + threshold
        if opened_within or (extended_until is not None and span.start <= extended_until):
            longer = span._replace(stop=span.stop + threshold)
            extended_until = max(longer.stop, extended_until or 0)
            spans.append(longer)
        else:
            spans.append(span)
    return spans


def occurrences(window: MaintenanceWindow, since: int, until: int) -> list[tuple[int, int]]:
    """(start, stop) in ms of the occurrences that overlap the time from `since` up to `until`, in
    order. One that was ended early stops then."""
    if window.ended_at is not None:
        until = min(until, window.ended_at)
    length = window.stop.date() - window.start.date()
    first = _day(since) - length - _ZONE_OFFSET
    found = []
    for start in _starts(window, first, _day(until) + _ZONE_OFFSET):
        stop = datetime.combine(start.date() + length, window.stop.time())
        begins, ends = _begin(start, window.zone), _end(stop, window.zone)
        if ends <= begins:
            ends = begins + (window.stop - window.start) // timedelta(milliseconds=1)
        if window.ended_at is not None:
            ends = min(ends, window.ended_at)
        if begins < min(ends, until) and ends > since:
            found.append((begins, ends))
    return found


def upcoming(window: MaintenanceWindow, now: int, most: int) -> list[tuple[int, int]]:
    """The first occurrences that stop after `now`, within eight years."""
    found: list[tuple[int, int]] = []
    for ahead in _AHEAD:
        found = occurrences(window, now, now + ahead)
        if len(found) >= most:
            break
    return found[:most]


def skipped_months(window: MaintenanceWindow, now: int, most: int) -> list[datetime]:
    """The first days of the next months in which the window would recur, but which have no such
    day; at most `most`."""
    if window.recurrence is None or window.ended_at is not None:
        return []
    today = (_EPOCH + timedelta(milliseconds=now)).astimezone(window.zone).replace(tzinfo=None)
    return window.recurrence.skipped_months(today, most)


def parse(
    zone: str, start: str, stop: str, rule: str | None, ended_at: int | None = None
) -> MaintenanceWindow:
    """Parses a window: start and stop like 2026-03-29T01:30, the rule as in RFC 5545.

    Raises Invalid with the field: zone, start, stop or recurrence.
    """
    clocks = _zone(zone)
    first, last = _moment("start", start), _moment("stop", stop)
    if not first < last:
        raise Invalid("stop", "must be after the start")
    if last - first > LONGEST:
        raise Invalid("stop", "must be at most a year after the start")
    if rule is None:
        return MaintenanceWindow(clocks, first, last, None, ended_at)
    if len(rule) > LONGEST_RECURRENCE:
        raise Invalid("recurrence", f"must have at most {LONGEST_RECURRENCE} characters")
    try:
        repeated = recurrence.parse(rule, first, clocks)
    except ValueError as error:
        raise Invalid("recurrence", str(error)) from error
    return MaintenanceWindow(clocks, first, last, repeated, ended_at)


def moment(field: str, written: str, zone: tzinfo) -> int:
    """The time (ms) of a local time like 2026-03-29T01:30; the later one if it occurs twice.

    Raises Invalid with this field.
    """
    return _end(_moment(field, written), zone)


def check_name(name: str) -> None:
    """Raises Invalid."""
    if not name.strip():
        raise Invalid("name", "is required")
    if len(name) > LONGEST_NAME:
        raise Invalid("name", f"must have at most {LONGEST_NAME} characters")


def text(moment: datetime) -> str:
    """A local time as text: 2026-03-29T01:30."""
    return moment.isoformat(timespec="minutes")


def _starts(window: MaintenanceWindow, first: datetime, last: datetime) -> Iterable[datetime]:
    if window.recurrence is not None:
        return window.recurrence.between(first, last)
    return (window.start,) if first <= window.start <= last else ()


def _day(moment: int) -> datetime:
    """The day in UTC: the arguments of a cached function then stay the same all day."""
    return (_EPOCH + timedelta(days=moment // DAY)).replace(tzinfo=None)


def _begin(moment: datetime, zone: ZoneInfo) -> int:
    return _at(moment.replace(tzinfo=zone, fold=0))


def _end(moment: datetime, zone: tzinfo) -> int:
    # If it occurs twice, the second is later. If it is skipped, fold=0 is later.
    return max(_at(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))


def _at(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "zone", f"must be a time zone such as Europe/Berlin, not {name[:64]!r}"
        ) from None


def _moment(field: str, written: str) -> datetime:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise Invalid(field, f"must be like 2026-03-29T01:30, not {written[:40]!r}") from None
    if moment.tzinfo is not None:
        raise Invalid(
            field,
            "must have no UTC offset, because the time zone is given separately; "
            "write it like 2026-03-29T01:30",
        )
    if moment.second or moment.microsecond:
        raise Invalid(field, "must have no seconds; write it like 2026-03-29T01:30")
    if moment.year not in _YEARS:
        raise Invalid(field, f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return moment
