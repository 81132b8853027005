"""Reads a recorded fleet from CSV: time, mac_address, and one column for each metric."""

import csv
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import NamedTuple, TextIO, TypeVar

from monitor.model import parse_mac, parse_time
from monitor.simulator.plan import PlannedHeartbeat

T = TypeVar("T")


class TraceError(Exception):
    """The file is invalid. The text names file, line and column."""


class Extent(NamedTuple):
    """The size of a recording; `length` in ms."""

    reports: int
    length: int


def measure(path: Path) -> Extent:
    """Reads the whole file, so that errors are found before anything is sent.

    Raises TraceError.
    """
    reports, length = 0, 0
    for report in replay(path):
        reports, length = reports + 1, report.moment
    if not reports:
        raise TraceError(f"{path}: has no reports")
    return Extent(reports, length)


def replay(path: Path, speed: float = 1.0) -> Iterator[PlannedHeartbeat]:
    """The reports in the file's order. Moments are relative to the first, divided by `speed`.

    An empty cell means that the metric was not reported. Raises TraceError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, file, speed)
    except OSError as error:
        raise TraceError(f"{path}: {error}") from error


def _rows(path: Path, file: TextIO, speed: float) -> Iterator[PlannedHeartbeat]:
    lines = csv.reader(file, strict=True)
    first = latest = None
    try:
        columns = _header(next(lines, []))
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(columns):
                raise ValueError(f"has {len(cells)} cells for {len(columns)} columns")
            row = dict(zip(columns, cells, strict=True))
            time = _cell("time", parse_time, row.pop("time"))
            mac = _cell("mac_address", parse_mac, row.pop("mac_address"))
            metrics = {name: _cell(name, _number, text) for name, text in row.items() if text}
            first = time if first is None else first
            if latest is not None and time < latest:
                raise ValueError("column time: is earlier than in the line before; sort the file")
            latest = time
            yield PlannedHeartbeat(round((time - first) / speed), mac, metrics)
    except (ValueError, csv.Error) as error:
        raise TraceError(f"{path}, line {max(1, lines.line_num)}: {error}") from error


def _header(columns: list[str]) -> list[str]:
    for name in ("time", "mac_address"):
        if name not in columns:
            raise ValueError(f"column {name}: is missing from the first line")
    for name in columns:
        if not name or columns.count(name) > 1:
            raise ValueError(f"column {name or columns.index(name) + 1}: needs a unique name")
    return columns


def _cell(name: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"column {name}: {error}") from error


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number
