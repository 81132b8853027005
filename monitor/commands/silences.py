"""`monitor silence` and `monitor maintenance`."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from functools import partial
from zoneinfo import ZoneInfo

from monitor.clock import Clock
from monitor.commands import Actions, CommandFailed, add_action, option
from monitor.commands.incidents import number, user
from monitor.commands.listing import add_json, print_list
from monitor.errors import Invalid
from monitor.model import parse_duration, parse_time
from monitor.outbox.wording import local, long
from monitor.services import maintenance, silences
from monitor.settings import Settings
from monitor.state.database import open_state
from monitor.state.silences import MaintenanceRow
from monitor.state.users import COMMAND_LINE
from monitor.web.api.maintenance import shape as maintenance_shape
from monitor.web.api.silences import shape as silence_shape

_NEXT = 3
_MINUTE = "%Y-%m-%d %H:%M %Z"
_OPTIONS = {
    "matchers": "--match",
    "starts_at": "--from",
    "ends_at": "--for or --until",
    "name": "NAME",
}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands to the parser."""
    silence = command("silence", _silence)
    actions = silence.add_subparsers(dest="action", required=True, metavar="ACTION")
    begin = add_action(actions, "add", "add a silence that starts now or later")
    _match(begin)
    begin.add_argument(
        "--from", dest="start", type=_time, metavar="TIME", help="start (default: now)"
    )
    until = begin.add_mutually_exclusive_group(required=True)
    until.add_argument(
        "--for",
        dest="duration",
        type=option(partial(parse_duration, unit=None)),
        help="duration, such as 90min or 4h",
    )
    until.add_argument(
        "--until", type=_time, metavar="TIME", help="end, such as 2026-11-23T03:42:00Z"
    )
    begin.add_argument("--comment", required=True, help="the reason")
    _list_and_end(actions, "silences", "a silence")

    windows = command("maintenance", _maintenance)
    actions = windows.add_subparsers(dest="action", required=True, metavar="ACTION")
    plan = add_action(actions, "add", "plan maintenance, once or repeatedly")
    plan.add_argument("name", help="name of the maintenance")
    _match(plan)
    plan.add_argument(
        "--zone", required=True, help="time zone of start and end, such as Europe/Berlin"
    )
    plan.add_argument("--start", required=True, help="start, such as 2026-03-29T01:30")
    plan.add_argument("--stop", required=True, help="end, such as 2026-03-29T03:30")
    plan.add_argument(
        "--recurrence",
        metavar="RRULE",
        help='when it repeats, such as "FREQ=WEEKLY;BYDAY=SU" (default: once)',
    )
    _list_and_end(actions, "maintenance", "maintenance")


def _match(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--match",
        action="append",
        required=True,
        metavar="MATCHER",
        help="condition on mac, name, site or a label, such as site=Hall A|Hall B or mac=02:00:*; "
        "if you repeat the option, a sensor must meet all conditions",
    )


def _list_and_end(actions: Actions, many: str, one: str) -> None:
    listed = add_action(actions, "list", f"list current and future {many}")
    listed.add_argument("--past", action="store_true", help=f"list past {many} instead")
    add_json(listed, one.removeprefix("a "))
    end = add_action(actions, "end", f"end {one} now")
    end.add_argument("id", type=number, metavar="ID", help="number that the list shows")


def _silence(given: Settings, options: argparse.Namespace) -> None:
    now, zone = Clock().now(), ZoneInfo(given.alerts.time_zone)
    engine = open_state(given.state_url)
    if options.action == "add":
        start = now if options.start is None else options.start
        end = start + options.duration if options.until is None else options.until
        with _option_named():
            made = silences.start(
                engine, COMMAND_LINE, options.match, start, end, options.comment, now, user()
            )
        print(f"silence {made.id} lasts until {long(end, zone)}")
    elif options.action == "end":
        silences.end(engine, COMMAND_LINE, options.id, now)
        print(f"silence {options.id} has ended")
    else:
        print_list(
            silences.listed(engine, "past" if options.past else None, now),
            options.json,
            lambda row: silence_shape(row, now),
            ("id", "state", "sensors", "from", "until", "by", "comment"),
            lambda row: (
                str(row.id),
                silences.phase_of(row, now),
                ", ".join(row.matchers),
                long(row.starts_at, zone),
                long(row.ends_at, zone),
                row.created_by,
                row.comment,
            ),
        )


def _maintenance(given: Settings, options: argparse.Namespace) -> None:
    now = Clock().now()
    engine = open_state(given.state_url)
    if options.action == "add":
        with _option_named():
            row = maintenance.schedule(
                engine,
                COMMAND_LINE,
                options.name,
                options.match,
                options.zone,
                options.start,
                options.stop,
                options.recurrence,
                now,
                user(),
            )
        print(f"maintenance {row.id} is scheduled")
        _show_windows(row, now)
    elif options.action == "end":
        maintenance.end(engine, COMMAND_LINE, options.id, now)
        print(f"maintenance {options.id} has ended")
    else:
        print_list(
            maintenance.listed(engine, "past" if options.past else None, now),
            options.json,
            lambda row: maintenance_shape(row, now),
            ("id", "state", "name", "sensors", "recurrence", "next window", "by"),
            lambda row: (
                str(row.id),
                maintenance.phase_of(row, now),
                row.name,
                ", ".join(row.matchers),
                _recurrence(row, now),
                next((_window(row, *each) for each in maintenance.next_windows(row, now, 1)), ""),
                row.created_by,
            ),
        )


def _show_windows(row: MaintenanceRow, now: int) -> None:
    """Prints the next windows in local time and in UTC."""
    for start, stop in maintenance.next_windows(row, now, _NEXT):
        there = _window(row, start, stop)
        print(f"    {there}  ({local(start, UTC):{_MINUTE}} to {local(stop, UTC):{_MINUTE}})")
    if skipped := _skipped(row, now):
        print(f"    skips months without this day: {skipped}")


def _recurrence(row: MaintenanceRow, now: int) -> str:
    skipped = _skipped(row, now)
    return (row.recurrence or "once") + (f" (skips {skipped})" if skipped else "")


def _skipped(row: MaintenanceRow, now: int) -> str:
    """The next months without the day of the maintenance."""
    return ", ".join(f"{each:%Y-%m}" for each in maintenance.skipped_months(row, now, _NEXT))


def _window(row: MaintenanceRow, start: int, stop: int) -> str:
    zone = ZoneInfo(row.zone)
    return f"{local(start, zone):{_MINUTE}} to {local(stop, zone):{_MINUTE}}"


@contextmanager
def _option_named() -> Iterator[None]:
    """Adds the name of the option to the text of Invalid."""
    try:
        yield
    except Invalid as error:
        option = _OPTIONS.get(error.field, f"--{error.field}")
        raise CommandFailed(f"{option}: {error}") from error


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"must be like 2026-11-23T03:42:00Z: {error}") from error
