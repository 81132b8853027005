"""Shows the progress of a run: a bar on a terminal, otherwise a line every few seconds."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from monitor.simulator.tally import Tally

_LINE_EVERY = 5.0
_BAR_EVERY = 0.2
_LOOK_EVERY = 0.05
"""Seconds between two looks for the reason why nothing is acknowledged."""
_HINTS = {
    "status 401": "set MONITOR_TOKEN to an ingest token",
    "status 421": "use a host name in --url that the server accepts",
}
"""What the problem starts with -> what to do."""


@contextmanager
def shown(tally: Tally, console: Console, seconds: float | None, url: str) -> Iterator[None]:
    """Shows the progress from a thread while the body runs, and why nothing is acknowledged.
    `seconds`: expected length; `url`: the server's."""
    ended = threading.Event()
    look = threading.Thread(target=_explain, args=(tally, console, url, ended), daemon=True)
    look.start()
    show = _bar if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(tally, console, seconds, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look.join()


def _explain(tally: Tally, console: Console, url: str, ended: threading.Event) -> None:
    """Says once, and at once, why nothing is acknowledged."""
    while not (tally.acknowledged or tally.problem):
        if ended.wait(_LOOK_EVERY):
            break
    if problem := tally.problem:
        hints = (hint for start, hint in _HINTS.items() if problem.startswith(start))
        advice = next(hints, "check that the server runs, and --url")
        text = f"nothing is acknowledged by {url}: {problem}; {advice}"
        console.print(text, markup=False, highlight=False)


def _bar(tally: Tally, console: Console, seconds: float | None, ended: threading.Event) -> None:
    columns = (
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=seconds, now="")
        started = time.monotonic()
        while not ended.wait(_BAR_EVERY):
            elapsed = time.monotonic() - started
            progress.update(task, completed=min(elapsed, seconds or elapsed), now=_state(tally))


def _lines(tally: Tally, console: Console, seconds: float | None, ended: threading.Event) -> None:
    started = time.monotonic()
    total = f" of {seconds:.0f}" if seconds else ""
    while not ended.wait(_LINE_EVERY):
        elapsed = time.monotonic() - started
        console.print(f"{elapsed:.0f}{total} s: {_state(tally)}", highlight=False)


def _state(tally: Tally) -> str:
    sent, acknowledged = tally.sent, tally.acknowledged
    return f"{sent:,} sent, {acknowledged:,} acknowledged, {sent - acknowledged:,} not"
