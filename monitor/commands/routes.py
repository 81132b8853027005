"""`monitor route`: which channels receive the alerts of which sensors."""

import argparse
from collections.abc import Callable

from monitor.bootstrap.channels import channel_names
from monitor.commands import CommandFailed, add_action, option
from monitor.commands.listing import add_json, print_list
from monitor.errors import Invalid
from monitor.model import SECOND, parse_duration
from monitor.outbox.wording import duration
from monitor.services import routes
from monitor.services.routes import LONGEST_WAIT
from monitor.settings import Settings
from monitor.state import routing
from monitor.state.database import open_state, reading
from monitor.state.routing import RouteRow
from monitor.state.users import COMMAND_LINE
from monitor.web.api.shapes import route_shape

_OPTIONS = {"name": "NAME", "matchers": "--match", "channels": "--channel"}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    actions = command("route", _list).add_subparsers(dest="action", required=True, metavar="ACTION")
    new = add_action(actions, "add", "add a route")
    new.set_defaults(run=_add)
    new.add_argument("name", help="name of the new route")
    new.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="MATCHER",
        help="condition on mac, name, site or a label, such as site=Hall A|Hall B or "
        "severity=warning; if you repeat the option, a sensor must meet all conditions (default: "
        "all sensors)",
    )
    new.add_argument(
        "--channel",
        action="append",
        required=True,
        help="channel that receives the alerts; browsers: all subscribed browsers; can be repeated",
    )
    new.add_argument(
        "--escalate-to",
        action="append",
        default=[],
        metavar="CHANNEL",
        help="channel that receives the alert if no one acknowledges it; can be repeated",
    )
    new.add_argument(
        "--escalate-after",
        type=option(_wait),
        metavar="DURATION",
        help="how long to wait for an acknowledgement, such as 15m; a number alone is in seconds",
    )
    new.add_argument(
        "--position", type=_position, help="place in the order of routes; 1: first (default: last)"
    )
    listed = add_action(actions, "list", "list all routes, in the order in which they are tried")
    add_json(listed, "route")
    removed = add_action(actions, "remove", "remove a route")
    removed.set_defaults(run=_remove)
    removed.add_argument("name", help="name of the route")


def _wait(text: str) -> int:
    wait = parse_duration(text)
    if not SECOND <= wait <= LONGEST_WAIT:
        raise ValueError("must be from 1 second to 30 days")
    return wait


def _position(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _add(given: Settings, options: argparse.Namespace) -> None:
    row = RouteRow(
        name=options.name,
        matchers=options.match,
        channels=options.channel,
        escalate_to=options.escalate_to,
        escalate_after=options.escalate_after,
    )
    of_settings = channel_names(given)
    try:
        routes.add(open_state(given.state_url), COMMAND_LINE, row, of_settings, options.position)
    except Invalid as error:
        name = _OPTIONS.get(error.field, f"--{error.field.replace('_', '-')}")
        raise CommandFailed(f"{name}: {error}") from error
    print(f"route {options.name} created")


def _list(given: Settings, options: argparse.Namespace) -> None:
    with reading(open_state(given.state_url)) as connection:
        rows = routing.routes(connection)
    print_list(
        list(enumerate(rows, 1)),
        options.json,
        lambda numbered: route_shape(*numbered),
        ("position", "name", "sensors", "channels", "escalation"),
        lambda numbered: _cells(*numbered),
    )


def _cells(position: int, row: RouteRow) -> tuple[str, ...]:
    later = ""
    if row.escalate_after is not None:
        later = f"after {duration(row.escalate_after)}: {', '.join(row.escalate_to)}"
    meant = ", ".join(row.matchers) or "all"
    return str(position), row.name, meant, ", ".join(row.channels), later


def _remove(given: Settings, options: argparse.Namespace) -> None:
    routes.remove(open_state(given.state_url), COMMAND_LINE, options.name)
    print(f"route {options.name} removed")
