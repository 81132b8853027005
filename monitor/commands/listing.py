"""How commands print lists: a table with headers, or JSON for programs."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from monitor.outbox.wording import plain

_GAP = "  "

Item = TypeVar("Item")


def add_json(parser: argparse.ArgumentParser, one: str) -> None:
    """Add the option `--json`. `one`: what each line describes."""
    parser.add_argument("--json", action="store_true", help=f"print a JSON object for each {one}")


def print_json(items: Iterable[object]) -> None:
    """One JSON document on each line."""
    for item in items:
        print(msgspec.json.encode(item).decode())


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns below their titles."""
    lines = [[title.upper() for title in titles]]
    lines += [[plain(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(_GAP.join(padded).rstrip())


def print_list(
    items: Iterable[Item],
    as_json: bool,
    shape: Callable[[Item], object],
    titles: Sequence[str],
    row: Callable[[Item], Sequence[str]],
) -> None:
    """The items as JSON, or as a table."""
    if as_json:
        print_json(map(shape, items))
    else:
        print_table(titles, map(row, items))
