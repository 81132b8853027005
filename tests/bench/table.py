"""Prints results in a table: median, reference, ratio and goal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

RUNS = 5


@dataclass(frozen=True)
class Row:
    """One line: `measured` and `reference` are the results of each run, in `unit`."""

    what: str
    unit: str
    measured: Sequence[float]
    reference: Sequence[float]
    least_ratio: float | None = None
    most: float | None = None
    """The goal: a minimum ratio, or a maximum result."""

    @property
    def goal(self) -> str:
        """The goal as text, and whether it was met."""
        if self.least_ratio is not None:
            met, text = self.ratio >= self.least_ratio, f"ratio >= {self.least_ratio:.2f}"
        elif self.most is not None:
            met, text = max(self.measured) <= self.most, f"<= {self.most:g} {self.unit}"
        else:
            return ""
        return f"{text} {'met' if met else 'MISSED'}"

    @property
    def ratio(self) -> float:
        """The ratio of the medians."""
        return median(self.measured) / median(self.reference)


def alternate(
    measured: Callable[[], float], reference: Callable[[], float], runs: int = RUNS
) -> tuple[list[float], list[float]]:
    """Run both in turn, after one warm-up run of each."""
    measured(), reference()
    pairs = [(measured(), reference()) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(f"\n{'what':58}{'measured':>14}{'reference':>14}{'ratio':>8}  goal")
    for row in rows:
        spread = f"{min(row.measured):,.4g}–{max(row.measured):,.4g} {row.unit}"
        print(
            f"{row.what:58}{median(row.measured):>14,.4g}{median(row.reference):>14,.4g}"
            f"{row.ratio:>8.2f}  {row.goal}  [{spread}]",
            flush=True,
        )
