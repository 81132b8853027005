"""A sparkline as the data of one SVG path: a bar for each bucket, none where nothing was heard."""

from collections.abc import Sequence
from statistics import median_low

_LEAST = 1.0
"""Height of the smallest bar, so that one heartbeat differs from none."""


def bars(counts: Sequence[int], width: float, height: float) -> str:
    """The `d` of a path that fills a viewBox of width × height, to be filled, not stroked.

    The usual count is three quarters of the height; what is far above it, such as history sent
    late, is cut off at the top. Empty when nothing was heard.
    """
    heard = [count for count in counts if count > 0]
    if not heard:
        return ""
    scale = 0.75 * height / median_low(heard)
    each = width / len(counts)
    bar = each * 0.8
    return "".join(
        f"M{_short(n * each)} {_short(height)}v{_short(-_tall(count, scale, height))}"
        f"h{_short(bar)}V{_short(height)}z"
        for n, count in enumerate(counts)
        if count > 0
    )


def _tall(count: int, scale: float, height: float) -> float:
    return min(max(count * scale, _LEAST), height)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
