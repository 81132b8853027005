"""`monitor token`: who may send heartbeats, look, act and configure."""

import argparse
from collections.abc import Callable

from monitor.clock import Clock
from monitor.commands import CommandFailed
from monitor.model import format_time
from monitor.settings import Settings
from monitor.state import audit, tokens
from monitor.state.database import open_state, reading, writing
from monitor.state.users import COMMAND_LINE


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    token = command("token", _token, "make, list and revoke tokens")
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a token and print it, once")
    create.add_argument("name", type=_name)
    create.add_argument(
        "--role",
        choices=tokens.ROLES,
        default=tokens.INGEST,
        help="ingest (default): send heartbeats; viewer: read the API; operator: also "
        "acknowledge and silence; administrator: also set up channels and routes",
    )
    actions.add_parser("list", help="names and roles of tokens, never the tokens")
    actions.add_parser("revoke", help="refuse this token from now on").add_argument("name")


def _name(text: str) -> str:
    try:
        tokens.check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _token(given: Settings, options: argparse.Namespace) -> None:
    engine, now = open_state(given.state_url), Clock().now()
    if options.action == "create":
        with writing(engine) as connection:
            secret = tokens.create(connection, options.name, now, options.role)
            audit.record(
                connection, COMMAND_LINE, "token made", options.name, {"role": options.role}
            )
        print(secret)
    elif options.action == "revoke":
        with writing(engine) as connection:
            revoked = tokens.revoke(connection, options.name, now)
            if revoked:
                audit.record(connection, COMMAND_LINE, "token revoked", options.name)
        if not revoked:
            raise CommandFailed(f"there is no token {options.name!r} in force")
    else:
        with reading(engine) as connection:
            listed = tokens.listed(connection)
        for token in listed:
            end = f"revoked {format_time(token.revoked_at)}" if token.revoked_at else "in force"
            print(f"{token.name}\t{token.role}\tmade {format_time(token.created_at)}\t{end}")
