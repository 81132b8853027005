"""The recurrence and the windows of maintenance, in words."""

import re
from collections.abc import Sequence
from datetime import datetime

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
    """How often a window that first begins at `start` recurs: `rule` in RFC 5545, None for once.

    Rules other than those of the form's choices are returned unchanged.
    """
    first = datetime.fromisoformat(start)
    simple = {
        None: "once",
        "FREQ=DAILY": "every day",
        "FREQ=WEEKLY": f"every {first:%A}",
        "FREQ=MONTHLY": f"every month on day {first.day}",
        "FREQ=MONTHLY;BYMONTHDAY=-1": "every month on the last day",
    }
    if rule in simple:
        return simple[rule]
    chosen = _ON_DAYS.fullmatch(rule or "")
    if chosen is None:
        return rule or ""
    *others, last = (DAYS[day] for day in chosen[1].split(","))
    return f"every {', '.join(others)} and {last}" if others else f"every {last}"


def skipped(months: Sequence[datetime]) -> str:
    """Which months have no such day; "" without months."""
    if not months:
        return ""
    return (
        f"Months without this day are skipped: {', '.join(f'{month:%B %Y}' for month in months)}."
    )
