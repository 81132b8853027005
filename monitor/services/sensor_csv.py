"""Sensors as CSV: writes them for spreadsheets, and reads what a file would change."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from monitor.errors import Invalid
from monitor.incidents import sensor_fields
from monitor.model import format_mac, parse_mac
from monitor.state.sensors import Sensor

MAC = "mac_address"

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""What a spreadsheet would execute. An apostrophe before it makes it text; reading the file removes
the apostrophe. Cells that already have such an apostrophe get another one."""

_LABELS = re.compile(r"(?:[^;\\]|\\.|\\$)+", re.DOTALL)
_YES, _NO = ("yes", "true", "1"), ("", "no", "false", "0")


class LineProblem(NamedTuple):
    """A problem in a line and column. An empty column: in the whole line."""

    line: int
    field: str
    detail: str


class CsvLine(NamedTuple):
    """One sensor in a file: its cells by column, without the address."""

    number: int
    mac: int
    cells: Mapping[str, str]


class Plan(NamedTuple):
    """MAC address -> what to set, and the problems that prevent the import."""

    changes: dict[int, dict[str, Any]]
    problems: list[LineProblem]
    lines: int
    """The number of sensors in the file."""


def _paused(text: str) -> bool:
    if text.strip().lower() not in (*_YES, *_NO):
        raise Invalid("paused", "must be yes or no")
    return text.strip().lower() in _YES


def _labels(text: str) -> dict[str, str]:
    found = (re.sub(r"\\([;\\])", r"\1", part) for part in _LABELS.findall(text))
    return sensor_fields.labels(found)


def _together(labels: Mapping[str, str]) -> str:
    each = (f"{name}={value}" for name, value in sorted(labels.items()))
    return "; ".join(re.sub(r"([;\\])", r"\\\1", text) for text in each)


class _Column(NamedTuple):
    """How one column is written and read; `read` raises Invalid."""

    attribute: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


_COLUMNS = {
    "name": _Column(
        "name", lambda name: name or "", lambda text: sensor_fields.words("name", text)
    ),
    "site": _Column(
        "site", lambda site: site or "", lambda text: sensor_fields.words("site", text)
    ),
    "threshold_seconds": _Column("threshold", sensor_fields.written, sensor_fields.threshold),
    "labels": _Column("labels", _together, _labels),
    "paused": _Column("paused", lambda paused: "yes" if paused else "no", _paused),
}
COLUMNS = (MAC, *_COLUMNS)


def write(rows: Iterable[Sensor]) -> Iterator[str]:
    """Yields the lines of a file. The first one has the names of the columns."""
    yield _line(COLUMNS)
    for row in rows:
        cells = (each.write(getattr(row, each.attribute)) for each in _COLUMNS.values())
        yield _line((format_mac(row.mac), *map(_guarded, cells)))


def read(text: str) -> tuple[list[CsvLine], list[LineProblem]]:
    """Reads a file that is separated by commas or semicolons, with columns in any order."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    delimiter = ";" if ";" in head and "," not in head else ","
    rows = _Numbered(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    lines: list[CsvLine] = []
    problems: list[LineProblem] = []
    first: dict[int, int] = {}
    try:
        number, head_cells = next(rows, (1, []))
        names = [cell.strip().lower() for cell in head_cells]
        problems += _head_problems(number, names)
        if problems:
            return [], problems
        for number, row in rows:
            if len(row) != len(names):
                detail = f"has {len(row)} cells, but there are {len(names)} columns"
                problems.append(LineProblem(number, "", detail))
                continue
            cells = {name: _unguarded(cell) for name, cell in zip(names, row, strict=True)}
            try:
                mac = parse_mac(cells.pop(MAC))
            except ValueError as error:
                problems.append(LineProblem(number, MAC, str(error)))
                continue
            if first.setdefault(mac, number) != number:
                detail = f"{format_mac(mac)} is already in line {first[mac]}"
                problems.append(LineProblem(number, MAC, detail))
                continue
            lines.append(CsvLine(number, mac, cells))
    except csv.Error as error:
        problems.append(LineProblem(rows.number, "", f"this is not CSV: {error}"))
    return lines, problems


def plan(
    lines: Iterable[CsvLine], problems: Iterable[LineProblem], known: Mapping[int, Sensor]
) -> Plan:
    """What the lines of a file would change. `known`: MAC address -> sensor in the state.

    A cell with the current value of its sensor is always valid.
    """
    changes: dict[int, dict[str, Any]] = {}
    found = list(problems)
    count = 0
    for line in lines:
        count += 1
        row = known.get(line.mac)
        values: dict[str, Any] = {}
        for name, text in line.cells.items():
            column = _COLUMNS[name]
            old = getattr(row, column.attribute) if row else None
            if row is not None and text == column.write(old):
                continue
            try:
                new = column.read(text)
            except Invalid as error:
                found.append(LineProblem(line.number, name, str(error)))
                continue
            if row is None or new != old:
                values[column.attribute] = new
        if values or row is None or row.forgotten_at is not None:
            changes[line.mac] = values
    return Plan(changes, sorted(found), count)


class _Numbered(Iterator[tuple[int, list[str]]]):
    """Rows that are not blank, each with the number of its first line."""

    def __init__(self, rows: Any) -> None:
        self._rows, self.number = rows, 1

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            self.number = self._rows.line_num + 1
            row = next(self._rows)
            if any(cell.strip() for cell in row):
                return self.number, row


def _head_problems(number: int, names: list[str]) -> Iterator[LineProblem]:
    for name in dict.fromkeys(names):
        if name not in COLUMNS:
            detail = f"unknown column {name[:60]!r}; use {', '.join(COLUMNS)}"
            yield LineProblem(number, "", detail)
        elif names.count(name) > 1:
            yield LineProblem(number, name, "this column appears twice")
    if MAC not in names:
        yield LineProblem(number, MAC, "this column is missing: the first line names the columns")


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue()
