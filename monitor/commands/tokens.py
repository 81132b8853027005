"""`monitor token`: who may send heartbeats, look, act and configure."""

import argparse
from collections.abc import Callable

from monitor.clock import Clock
from monitor.model import format_time
from monitor.services import tokens
from monitor.settings import Settings
from monitor.state.database import open_state
from monitor.state.tokens import INGEST, ROLES, check_name
from monitor.state.users import COMMAND_LINE


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    token = command("token", _token)
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a token and print it, once")
    create.add_argument("name", type=_name)
    create.add_argument(
        "--role",
        choices=ROLES,
        default=INGEST,
        help="ingest (default): send heartbeats; viewer: read the API; operator: also "
        "acknowledge and silence; administrator: also set up channels and routes",
    )
    actions.add_parser("list", help="names and roles of tokens, never the tokens")
    actions.add_parser("revoke", help="stop accepting a token").add_argument("name")


def _name(text: str) -> str:
    try:
        check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _token(given: Settings, options: argparse.Namespace) -> None:
    engine, now = open_state(given.state_url), Clock().now()
    if options.action == "create":
        print(tokens.create(engine, COMMAND_LINE, options.name, options.role, now))
    elif options.action == "revoke":
        tokens.revoke(engine, COMMAND_LINE, options.name, now)
    else:
        for token in tokens.listed(engine):
            end = f"revoked {format_time(token.revoked_at)}" if token.revoked_at else "active"
            print(f"{token.name}\t{token.role}\tmade {format_time(token.created_at)}\t{end}")
