"""Counts as the data of an SVG path."""

import re

from hypothesis import given
from hypothesis import strategies as st

from monitor.web.sparkline import bars


def heights(path: str) -> list[float]:
    return [float(tall) for tall in re.findall(r"v-([\d.]+)", path)]


def test_each_bucket_has_a_bar_and_one_without_heartbeats_has_none() -> None:
    assert bars([30, 0, 30], 30, 20) == "M0 20v-15h8V20zM20 20v-15h8V20z"


def test_nothing_heard_is_nothing_drawn() -> None:
    assert bars([0, 0], 30, 20) == ""
    assert bars([], 30, 20) == ""


def test_history_sent_at_once_does_not_flatten_all_else() -> None:
    assert heights(bars([30, 15, 30, 30, 5_000], 50, 20)) == [15, 7.5, 15, 15, 20]


def test_a_single_heartbeat_is_still_seen() -> None:
    assert heights(bars([1_000, 1, 1_000], 50, 20)) == [15, 1, 15]


@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_all_bars_lie_within_the_box(counts: list[int]) -> None:
    path = bars(counts, 96, 20)
    assert len(heights(path)) == sum(count > 0 for count in counts)
    assert all(1 <= tall <= 20 for tall in heights(path))
    assert re.fullmatch(r"(M[\d.]+ 20v-[\d.]+h[\d.]+V20z)*", path)
