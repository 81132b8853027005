"""In which order and in which groups the tests run, in one process or in several.

Tests of one file stay together, since they often share what they started. Tests that mostly wait
run beside tests that compute, so that neither the processor nor a process is idle.
"""

from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent

_WAITING = ("own_outages", "e2e")
"""Rooms whose tests mostly wait for real time to pass."""

_INDEPENDENT = ("e2e", "faults", "concurrency", "power_cut")
"""Rooms with few, long tests that share nothing."""

_LONG = ("stateful", "soak", "faults", "concurrency", "power_cut", "web")
"""Other rooms with long files: started early, they keep no process busy at the end."""


def arrange(items: list[pytest.Item]) -> None:
    """Sort the tests, and give each the group that pytest-xdist keeps in one process."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(_group(item), []).append(item)
    for name, members in groups.items():
        for item in members:
            item.add_marker(pytest.mark.xdist_group(name))
    ordered = sorted(groups.values(), key=lambda members: _rank(members[0]))
    waiting = [members for members in ordered if _room(members[0]) in _WAITING]
    computing = [members for members in ordered if _room(members[0]) not in _WAITING]
    pairs: Iterable[Iterable[list[pytest.Item]]] = zip_longest(waiting, computing, fillvalue=[])
    items[:] = [item for pair in pairs for members in pair for item in members]


def _group(item: pytest.Item) -> str:
    room = _room(item)
    if room == "own_outages":  # its fixture runs all scenarios at once
        return room
    return item.nodeid if room in _INDEPENDENT else item.path.relative_to(_TESTS).as_posix()


def _room(item: pytest.Item) -> str:
    return item.path.relative_to(_TESTS).parts[0]


def _rank(item: pytest.Item) -> int:
    order = (*_WAITING, *_LONG)
    return order.index(_room(item)) if _room(item) in order else len(order)
