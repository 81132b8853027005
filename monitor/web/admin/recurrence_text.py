"""When maintenance is done, in words."""

import re
from datetime import datetime, tzinfo

from monitor.outbox.wording import local

DAYS = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}
"""By their names in RFC 5545."""

_ON_DAYS = re.compile(r"FREQ=WEEKLY;BYDAY=((?:[A-Z]{2},)*[A-Z]{2})")


def often(rule: str | None, start: str) -> str:
    """How often: `rule` by RFC 5545, None for once, of a window that first begins at `start`.

    Rules that the form's own choices do not make are told as they are.
    """
    first = datetime.fromisoformat(start)
    simple = {
        None: "once",
        "FREQ=DAILY": "every day",
        "FREQ=WEEKLY": f"every {first:%A}",
        "FREQ=MONTHLY": f"every month on day {first.day}",
    }
    if rule in simple:
        return simple[rule]
    chosen = _ON_DAYS.fullmatch(rule or "")
    if chosen is None:
        return rule or ""
    *others, last = (DAYS[day] for day in chosen[1].split(","))
    return f"every {', '.join(others)} and {last}" if others else f"every {last}"


def told(start: int, stop: int, zone: tzinfo) -> str:
    """A window (ms) by the clocks of a zone: Sunday 29 March 2026, 01:30 to 03:30 CEST."""
    first, last = local(start, zone), local(stop, zone)
    change = "" if first.tzname() == last.tzname() else f" {first:%Z}"
    until = "" if first.date() == last.date() else f"{last:%A} {last.day} {last:%B}, "
    return f"{_day(first)}, {first:%H:%M}{change} to {until}{last:%H:%M %Z}"


def _day(moment: datetime) -> str:
    return f"{moment:%A} {moment.day} {moment:%B %Y}"
