"""`monitor incidents` and `monitor acknowledge`."""

import argparse
import getpass
from collections.abc import Callable, Sequence
from datetime import tzinfo
from zoneinfo import ZoneInfo

from monitor.clock import Clock
from monitor.commands import CommandFailed
from monitor.commands.listing import add_json, print_list
from monitor.incidents import machine
from monitor.incidents.timeline import answered_by
from monitor.model import GREATEST_ID, IncidentView, format_mac
from monitor.outbox.wording import long, plain
from monitor.services import incidents
from monitor.settings import Settings
from monitor.state import ledger
from monitor.state.database import open_state, reading
from monitor.state.users import COMMAND_LINE
from monitor.web.api.shapes import case_shape

_MOST = 1_000


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands to the parser."""
    listed = command("incidents", _incidents)
    listed.add_argument("--open", action="store_true", help="list only open incidents")
    add_json(listed, "incident")
    known = command("acknowledge", _acknowledge)
    known.add_argument(
        "ids", type=number, nargs="+", metavar="ID", help="number that `monitor incidents` shows"
    )
    known.add_argument(
        "--by", default=None, help="who acknowledges (default: your user name on this machine)"
    )


def number(text: str) -> int:
    """The number of an incident."""
    value = int(text)
    if not 1 <= value <= GREATEST_ID:
        raise argparse.ArgumentTypeError("must be a number of `monitor incidents`")
    return value


def describe(case: IncidentView) -> str:
    """`Boiler (02:00:00:00:00:0a) at Harbour`."""
    mac = format_mac(case.mac)
    called = f"{case.name} ({mac})" if case.name else mac
    return plain(called + (f" at {case.site}" if case.site else ""))


def incident_state(case: IncidentView, zone: tzinfo) -> str:
    """The state of an incident, with times in `zone`."""
    state = machine.state_of(case.acknowledged_at, case.closed_at)
    if case.closed_at is not None:
        return f"{case.closed_reason} {long(case.closed_at, zone)}"
    if case.acknowledged_at is not None:
        by = plain(answered_by(case))
        return f"acknowledged {long(case.acknowledged_at, zone)} by {by}"
    return state.value


def _incidents(given: Settings, options: argparse.Namespace) -> None:
    zone = ZoneInfo(given.alerts.time_zone)
    with reading(open_state(given.state_url)) as connection:
        found = ledger.cases(connection, _MOST, still_open=True if options.open else None)
    print_list(
        found,
        options.json,
        case_shape,
        ("id", "sensor", "silent since", "state"),
        lambda case: (
            str(case.id),
            describe(case),
            long(case.last_seen, zone),
            incident_state(case, zone),
        ),
    )


def _acknowledge(given: Settings, options: argparse.Namespace) -> None:
    ids: Sequence[int] = options.ids
    engine, now = open_state(given.state_url), Clock().now()
    outcome = incidents.acknowledge(engine, COMMAND_LINE, ids, now, by=options.by or user())
    for one in outcome.done:
        print(f"{one} is acknowledged")
    for one in outcome.earlier:
        print(f"{one} was already acknowledged")
    problems = [f"incident {one} is closed" for one in outcome.closed]
    problems += [f"there is no incident {one}" for one in outcome.unknown]
    if problems:
        raise CommandFailed("; ".join(problems))


def user() -> str:
    """The name of the user who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "command line"
