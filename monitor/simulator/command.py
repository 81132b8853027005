"""The command `monitor simulate`: its arguments, and one run."""

import argparse
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from rich.console import Console

from monitor.model import format_mac, parse_duration, parse_mac
from monitor.simulator import trace
from monitor.simulator.plan import PlannedHeartbeat, SimulatedFleet, plan
from monitor.simulator.progress import shown
from monitor.simulator.record import Record
from monitor.simulator.sender import Sender, Target
from monitor.simulator.tally import Tally


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds the subcommand to the parser. Numbers without a unit are in seconds."""
    parser = command("simulate", run)
    parser.epilog = (
        "The ingest token is read from $MONITOR_TOKEN. "
        "A DURATION is like 90s or 5m; a number alone is in seconds. "
        "The exit status is 1 if a reply had a status other than 2xx."
    )
    parser.add_argument(
        "--url",
        type=_url,
        default="http://127.0.0.1:8000",
        help="the server's URL (default: %(default)s)",
    )
    parser.add_argument(
        "--duration",
        type=_duration,
        metavar="DURATION",
        help="length of the run (default: until Ctrl-C)",
    )
    parser.add_argument(
        "--connections",
        type=_count,
        default=32,
        metavar="N",
        help="number of connections (default: 32)",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write acknowledged heartbeats to this CSV file"
    )
    parser.add_argument(
        "--sent", type=Path, metavar="FILE", help="write all sent heartbeats to this CSV file"
    )
    recorded = parser.add_argument_group("a recorded fleet")
    recorded.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="CSV file with time, mac_address and a column for each metric",
    )
    recorded.add_argument(
        "--speed",
        type=_positive,
        default=1.0,
        metavar="N",
        help="replay N times as fast (default: 1)",
    )
    _add_fleet(parser.add_argument_group("a simulated fleet"))


def _add_fleet(group: "argparse._ArgumentGroup") -> None:
    # Defaults are suppressed: SimulatedFleet has them, and --trace must see which options are set.
    def add(option: str, kind: Callable[[str], object], text: str) -> None:
        group.add_argument(
            option, type=kind, default=argparse.SUPPRESS, metavar=_METAVARS[kind], help=text
        )

    fleet = SimulatedFleet
    add("--sensors", _count, f"number of sensors (default: {fleet.sensors})")
    add("--first-mac", _mac, f"lowest MAC address (default: {format_mac(fleet.first_mac)})")
    add("--interval", _duration, f"time between heartbeats (default: {fleet.interval // 1000}s)")
    add(
        "--jitter",
        _share,
        f"random change of the interval, up to this share (default: {fleet.jitter})",
    )
    add("--die", _share, "share of the sensors that become silent (default: 0)")
    add(
        "--die-after",
        _duration,
        f"time until they become silent (default: {fleet.die_after // 1000}s)",
    )
    add("--return-after", _duration, "time until they report again (default: never)")
    add("--flap", _share, "share of the sensors that flap (default: 0)")
    add(
        "--flap-silence",
        _duration,
        f"length of each silence of a flapping sensor (default: {fleet.flap_silence // 1000}s)",
    )
    add("--seed", int, f"seed of the random numbers (default: {fleet.seed})")


def run(arguments: argparse.Namespace) -> int:
    """Returns the exit status: 0 if all heartbeats were acknowledged, 1 if not, 2 for an error.

    The summary goes to standard output, everything else to standard error.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        reports, length = _reports(arguments)
        with Record(arguments.record, arguments.sent) as record:
            return _drive(arguments, reports, length, record, errors)
    except (ValueError, OSError, trace.TraceError) as error:
        errors.print(f"monitor simulate: {error}", markup=False, highlight=False)
        return 2


def _reports(arguments: argparse.Namespace) -> tuple[Iterator[PlannedHeartbeat], int | None]:
    """The reports, and how long they take (ms) if it is known."""
    names = [field.name for field in fields(SimulatedFleet)]
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    length: int | None = arguments.duration
    if arguments.trace is None:
        reports = plan(SimulatedFleet(**given))
    elif given:
        option = min(given).replace("_", "-")
        raise ValueError(f"--trace replays a recorded fleet; --{option} is for a simulated one")
    else:
        whole = round(trace.measure(arguments.trace).length / arguments.speed)
        length = whole if length is None else min(length, whole)
        reports = trace.replay(arguments.trace, arguments.speed)
    if arguments.duration is not None:
        reports = takewhile(lambda report: report.moment < arguments.duration, reports)
    return reports, length


def _drive(
    arguments: argparse.Namespace,
    reports: Iterator[PlannedHeartbeat],
    length: int | None,
    record: Record,
    errors: Console,
) -> int:
    tally = Tally()
    target = Target(arguments.url, os.environ.get("MONITOR_TOKEN", "").strip())
    sender = Sender(target, arguments.connections, tally, record)
    began = time.monotonic()
    try:
        with (
            _ended_by_signals(sender),
            shown(tally, errors, length and length / 1000, arguments.url),
        ):
            sender.run(reports)
    finally:
        summary = tally.summary(time.monotonic() - began)
        Console(soft_wrap=True).print(summary, markup=False, highlight=False)
    return 0 if tally.acknowledged == tally.sent else 1


@contextmanager
def _ended_by_signals(sender: Sender) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run and print its summary. A second one ends the process."""

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        sender.stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise argparse.ArgumentTypeError(f"{text!r} is not like http://127.0.0.1:8000")
    return text


def _mac(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error


def _positive(text: str) -> float:
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


def _duration(text: str) -> int:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error
    if not length:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return length


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def _count(text: str) -> int:
    number = _number(text)
    if number < 1 or number % 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(number)


_METAVARS = {_count: "N", int: "N", _mac: "MAC", _duration: "DURATION", _share: "SHARE"}
