"""What the grid's template is given: cells in order, counts, and times as words."""

import re
from collections import Counter
from typing import NamedTuple

from monitor.model import DAY, HOUR, MINUTE, SECOND, format_mac, format_time
from monitor.staleness.rules import Status
from monitor.web.fleet import Changes, Entry

WORST_FIRST = {
    Status.DOWN: "silent for longer than the threshold while we listened",
    Status.UNKNOWN: "silent for longer than the threshold, but not proven to be out",
    Status.WAITING: "registered, never heard",
    Status.UP: "heard within the threshold",
    Status.PAUSED: "not watched at the moment",
}
"""What each status means, in the order of the grid."""

FIRST_CELLS = 500
"""Cells in the page itself; the script adds the rest, so that the first paint stays quick."""

BLIND_AFTER = 15 * SECOND
"""A horizon older than this: nobody can know who is silent."""

_RANK = {status: rank for rank, status in enumerate(WORST_FIRST)}


class Cell(NamedTuple):
    """One sensor as text."""

    mac: str
    label: str
    site: str
    status: str
    last_seen: str
    ago: str


class Count(NamedTuple):
    """How many sensors have a status, and what it means."""

    status: str
    number: int
    meaning: str


class Grid(NamedTuple):
    """The page: the worst sensors first, then by name."""

    cells: list[Cell]
    counts: list[Count]
    total: int
    title: str
    time: str
    problem: str | None


def grid(changes: Changes) -> Grid:
    """The whole fleet as the server renders it."""
    counts = Counter(entry.status for entry in changes.entries)
    first = sorted(changes.entries, key=_order)[:FIRST_CELLS]
    return Grid(
        cells=[_cell(entry, changes.now) for entry in first],
        counts=[
            Count(status.value, counts[status], meaning) for status, meaning in WORST_FIRST.items()
        ],
        total=len(changes.entries),
        title=_title(counts),
        time=format_time(changes.now),
        problem=changes.problem or _blindness(changes),
    )


def ago(duration: int) -> str:
    """A duration in one unit, as grid.js words it."""
    if duration < MINUTE:
        return f"{max(duration, 0) // SECOND} s ago"
    if duration < HOUR:
        return f"{duration // MINUTE} min ago"
    if duration < 2 * DAY:
        return f"{duration // HOUR} h ago"
    return f"{duration // DAY} d ago"


def _title(counts: Counter[Status]) -> str:
    """Only what is wrong, while something is."""
    wrong = [status for status in (Status.DOWN, Status.UNKNOWN) if counts[status]]
    named = wrong or [status for status in WORST_FIRST if counts[status]]
    return ", ".join(f"{counts[status]} {status.value}" for status in named) or "no sensors"


def _blindness(changes: Changes) -> str | None:
    if changes.horizon == 0:
        return "Monitoring has not begun: nothing was judged yet." if changes.entries else None
    if changes.now - changes.horizon > BLIND_AFTER:
        return "Monitoring is blind: silence proves nothing at the moment."
    return None


def _order(entry: Entry) -> tuple[int, bool, list[tuple[int, str]], int]:
    """The nameless come last, and 10 after 9."""
    parts = re.split(r"([0-9]+)", (entry.name or "").casefold())
    natural = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return _RANK[entry.status], entry.name is None, natural, entry.mac


def _cell(entry: Entry, now: int) -> Cell:
    mac, seen = format_mac(entry.mac), entry.last_seen
    return Cell(
        mac=mac,
        label=entry.name or mac,
        site=entry.site or "",
        status=entry.status.value,
        last_seen="" if seen is None else format_time(seen),
        ago="never" if seen is None else ago(now - seen),
    )
