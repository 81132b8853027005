"""The content of the grid's template: cells in groups, counts, and times as text."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from monitor.model import DAY, HOUR, MINUTE, SECOND, format_mac, format_time
from monitor.staleness.rules import SensorStatus
from monitor.web.grid.fleet import FleetChanges, SensorEntry
from monitor.web.grid.search import GridFilters, natural, order

WORST_FIRST = {
    SensorStatus.DOWN: "no heartbeat for longer than the sensor's threshold",
    SensorStatus.UNKNOWN: (
        "silent, but monitoring was blind (received nothing) or refused its heartbeats, so it may "
        "be up"
    ),
    SensorStatus.WAITING: "has not reported since it was registered or resumed",
    SensorStatus.UP: "reported within the threshold",
    SensorStatus.PAUSED: "paused: not monitored",
}
"""What each status means, in the order of the grid."""

FIRST_CELLS = 120
"""The number of cells in the page itself, about one screen; the script loads the others."""

MOST_VALUES = 100
"""A label with more values, like a serial number, can be searched, but is not in the filter."""

BLIND_AFTER = 15 * SECOND
"""If the horizon is older than this, the status of sensors is unknown."""

_NOT_STARTED = "Monitoring has not started, so it is not known which sensors are down."

_RANK = {status: rank for rank, status in enumerate(WORST_FIRST)}


class Cell(NamedTuple):
    """One sensor as text."""

    mac: str
    label: str
    site: str
    status: str
    last_seen: str
    ago: str
    acknowledged: bool
    silenced: str
    """Why its messages are held."""


class Count(NamedTuple):
    """How many sensors have a status, and what it means."""

    status: str
    number: int
    meaning: str


class CellGroup(NamedTuple):
    """The sensors of a site; None: without a site, "": sensors are not grouped."""

    site: str | None
    total: int
    wrong: list[Count]
    cells: list[Cell]


class Grid(NamedTuple):
    """The page: the first groups that match the filters."""

    groups: list[CellGroup]
    filters: GridFilters
    counts: list[Count]
    total: int
    shown: int
    sites: list[str]
    labels: dict[str, list[str]]
    """Name -> values to choose from."""
    down: int
    title: str
    time: str
    problem: str | None
    warnings: Sequence[str]

    @property
    def first(self) -> int:
        """The number of cells in the page itself."""
        return sum(len(group.cells) for group in self.groups)


def grid(changes: FleetChanges, filters: GridFilters | None = None) -> Grid:
    """The whole fleet as the server renders it."""
    filters = filters or GridFilters()
    entries = changes.entries
    counts = Counter(entry.status for entry in entries)
    found = filters.matching(entries)
    return Grid(
        groups=_first(_grouped(found, filters), filters, changes.now),
        filters=filters,
        counts=[
            Count(status.value, counts[status], meaning) for status, meaning in WORST_FIRST.items()
        ],
        total=len(entries),
        shown=len(found),
        sites=sorted({entry.site for entry in entries if entry.site}, key=natural),
        labels=_choices(entries),
        down=counts[SensorStatus.DOWN],
        title=_title(counts),
        time=format_time(changes.now),
        problem=explained(changes),
        warnings=changes.warnings,
    )


def cell(entry: SensorEntry, now: int) -> Cell:
    """One sensor at `now`."""
    mac, seen = format_mac(entry.mac), entry.last_seen
    return Cell(
        mac=mac,
        label=entry.name or mac,
        site=entry.site or "",
        status=entry.status.value,
        last_seen="" if seen is None else format_time(seen),
        ago="never" if seen is None else ago(now - seen),
        acknowledged=entry.acknowledged_at is not None,
        silenced=entry.held.reason if entry.held else "",
    )


def ago(duration: int) -> str:
    """A duration in one unit, in the same format as in words.js."""
    if duration < MINUTE:
        return f"{max(duration, 0) // SECOND} s ago"
    if duration < HOUR:
        return f"{duration // MINUTE} min ago"
    if duration < 2 * DAY:
        return f"{duration // HOUR} h ago"
    return f"{duration // DAY} d ago"


def problem(changes: FleetChanges) -> str | None:
    """Why the shown data is not current."""
    if changes.problem:
        return changes.problem
    if changes.horizon == 0:
        return _NOT_STARTED if changes.entries else None
    if changes.now - changes.horizon > BLIND_AFTER:
        return "Monitoring is behind. Silent sensors can't be detected."
    return None


def explained(changes: FleetChanges) -> str | None:
    """The same with the cause, for users of the service."""
    found = problem(changes)
    if found is None or changes.problem:
        return found
    return f"{found} {changes.hindrance}".rstrip()


def _title(counts: Counter[SensorStatus]) -> str:
    """Only the problems, if there are any."""
    wrong = [status for status in (SensorStatus.DOWN, SensorStatus.UNKNOWN) if counts[status]]
    named = wrong or [status for status in WORST_FIRST if counts[status]]
    return ", ".join(f"{counts[status]} {status.value}" for status in named) or "no sensors"


def _choices(entries: Sequence[SensorEntry]) -> dict[str, list[str]]:
    values: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for name, value in entry.labels.items():
            values[name].add(value)
    return {
        name: sorted(values[name], key=natural)
        for name in sorted(values, key=natural)
        if len(values[name]) <= MOST_VALUES
    }


def _grouped(
    entries: Sequence[SensorEntry], filters: GridFilters
) -> list[tuple[str | None, list[SensorEntry]]]:
    """Groups in the order of the page; sensors are not grouped if none has a site."""
    sites: dict[str | None, list[SensorEntry]] = defaultdict(list)
    for entry in entries:
        sites["" if filters.flat else entry.site or None].append(entry)
    if not any(sites):
        return [("", list(entries))] if entries else []
    groups = sorted(sites.items(), key=lambda group: (group[0] is None, natural(group[0] or "")))
    if not filters.by_name:
        groups.sort(key=lambda group: _severity(group[1]), reverse=True)
    return groups


def _severity(entries: Sequence[SensorEntry]) -> tuple[int, int]:
    statuses = [entry.status for entry in entries]
    return statuses.count(SensorStatus.DOWN), statuses.count(SensorStatus.UNKNOWN)


def _first(
    groups: Sequence[tuple[str | None, list[SensorEntry]]], filters: GridFilters, now: int
) -> list[CellGroup]:
    """The groups that fill the page; the last one may be incomplete."""
    first: list[CellGroup] = []
    room = FIRST_CELLS
    for site, entries in groups:
        if room <= 0:
            break
        entries.sort(key=order)
        if not filters.by_name:
            entries.sort(key=lambda entry: _RANK[entry.status])
        wrong = zip((SensorStatus.DOWN, SensorStatus.UNKNOWN), _severity(entries), strict=True)
        counts = [Count(status.value, number, "") for status, number in wrong if number]
        cells = [cell(entry, now) for entry in entries[:room]]
        first.append(CellGroup(site, len(entries), counts, cells))
        room -= len(cells)
    return first
