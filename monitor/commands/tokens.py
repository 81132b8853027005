"""`monitor token`: tokens for sensors and programs."""

import argparse
from collections.abc import Callable

from monitor.clock import Clock
from monitor.commands import add_action
from monitor.commands.listing import add_json, print_list
from monitor.model import format_time
from monitor.services import tokens
from monitor.settings import Settings
from monitor.state.database import open_state
from monitor.state.tokens import INGEST, ROLES, Token, check_name
from monitor.state.users import COMMAND_LINE


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    token = command("token", _token)
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = add_action(actions, "create", "create a token and print it; it is not shown again")
    create.add_argument("name", type=_name, help="name of the new token")
    create.add_argument(
        "--role",
        choices=ROLES,
        default=INGEST,
        help="ingest (default): send heartbeats; viewer: read the API; operator: also "
        "acknowledge incidents and silence sensors; administrator: also change channels and routes",
    )
    add_json(add_action(actions, "list", "list names and roles of tokens"), "token")
    revoked = add_action(actions, "revoke", "revoke a token: it is no longer accepted")
    revoked.add_argument("name", help="name of the token")


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
        titles = ("name", "role", "created", "state")
        print_list(tokens.listed(engine), options.json, _shape, titles, _cells)


def _cells(token: Token) -> tuple[str, ...]:
    end = f"revoked {format_time(token.revoked_at)}" if token.revoked_at else "active"
    return token.name, token.role, format_time(token.created_at), end


def _shape(token: Token) -> dict[str, str | None]:
    revoked = format_time(token.revoked_at) if token.revoked_at else None
    created = format_time(token.created_at)
    return {"name": token.name, "role": token.role, "created_at": created, "revoked_at": revoked}
