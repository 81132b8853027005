"""How a run is going: a bar on a terminal, elsewhere a line every few seconds."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from monitor.simulator.tally import Tally

_LINE_EVERY = 5.0
_BAR_EVERY = 0.2


@contextmanager
def shown(tally: Tally, console: Console, seconds: float | None) -> Iterator[None]:
    """Shows it while the body runs, from a thread; `seconds` is how long the run should take."""
    ended = threading.Event()
    show = _bar if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(tally, console, seconds, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bar(tally: Tally, console: Console, seconds: float | None, ended: threading.Event) -> None:
    columns = (
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=seconds, now="")
        began = time.monotonic()
        while not ended.wait(_BAR_EVERY):
            passed = time.monotonic() - began
            progress.update(task, completed=min(passed, seconds or passed), now=_state(tally))


def _lines(tally: Tally, console: Console, seconds: float | None, ended: threading.Event) -> None:
    began = time.monotonic()
    whole = f" of {seconds:.0f}" if seconds else ""
    while not ended.wait(_LINE_EVERY):
        passed = time.monotonic() - began
        console.print(f"{passed:.0f}{whole} s: {_state(tally)}", highlight=False)


def _state(tally: Tally) -> str:
    sent, acknowledged = tally.sent, tally.acknowledged
    return f"{sent:,} sent, {acknowledged:,} acknowledged, {sent - acknowledged:,} not"
