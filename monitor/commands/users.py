"""`monitor createsuperuser` and `monitor user`: users and their passwords."""

import argparse
import getpass
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.commands import CommandFailed, add_action
from monitor.commands.listing import add_json, print_list
from monitor.errors import NotFound
from monitor.model import format_time
from monitor.services import users
from monitor.settings import Settings
from monitor.state.database import open_state
from monitor.state.users import COMMAND_LINE, User


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands to the parser."""
    first = command("createsuperuser", _create)
    first.add_argument("--name", help="name of the user (default: the command asks for it)")
    first.add_argument(
        "--email", help="email address, can be empty (default: the command asks for it)"
    )
    first.add_argument(
        "--reset", action="store_true", help="if the user exists, set a new password without asking"
    )
    first.epilog = "The command asks for the password, or reads it as one line from standard input."
    user = command("user", _user)
    actions = user.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_json(add_action(actions, "list", "list names, roles and last logins"), "user")
    for name, summary in (
        ("deactivate", "log out a user and block further logins"),
        ("password", "ask for a new password, or read it from standard input, and set it"),
    ):
        add_action(actions, name, summary).add_argument("name", help="name or email address")


def _create(given: Settings, options: argparse.Namespace) -> None:
    engine = open_state(given.state_url)
    name = _asked(options.name, "Name: ")
    try:
        known = users.find(engine, name)
    except NotFound:
        pass
    else:
        _reset(engine, known, options)
        return
    email = _asked(options.email, "Email (may be empty): ") if _on_terminal() else options.email
    password, now = _password(), Clock().now()
    users.add(engine, COMMAND_LINE, name, users.ADMINISTRATOR, email, now, password)
    print(f"{name} is an administrator")


def _reset(engine: Engine, known: User, options: argparse.Namespace) -> None:
    question = (
        f"There is a user {known.name} ({known.role}). "
        "Set a new password, and make them an active administrator? [y/N] "
    )
    if not options.reset:
        if not _on_terminal():
            raise CommandFailed(
                f"there is already a user {known.name}; use --reset to set a new password"
            )
        if input(question).strip().lower() not in ("y", "yes"):
            raise CommandFailed("nothing was changed")
    users.reset(engine, COMMAND_LINE, known, _password())
    print(f"{known.name} is an administrator, with a new password")


def _user(given: Settings, options: argparse.Namespace) -> None:
    engine = open_state(given.state_url)
    if options.action == "list":
        titles = ("name", "email", "role", "last login")
        print_list(users.listed(engine), options.json, _shape, titles, _cells)
    elif options.action == "deactivate":
        person = users.find(engine, options.name)
        users.change(engine, COMMAND_LINE, person.id, active=False)
        print(f"{person.name} can no longer log in")
    else:
        person = users.find(engine, options.name)
        users.set_password(engine, COMMAND_LINE, person, _password())
        print(f"{person.name} has a new password")


def _cells(one: User) -> tuple[str, ...]:
    role = one.role if one.active else f"{one.role}, deactivated"
    seen = "never" if one.last_login_at is None else format_time(one.last_login_at)
    return one.name, one.email or "", role, seen


def _shape(one: User) -> dict[str, Any]:
    return {
        "name": one.name,
        "email": one.email,
        "role": one.role,
        "active": one.active,
        "last_login_at": None if one.last_login_at is None else format_time(one.last_login_at),
    }


def _asked(given: str | None, prompt: str) -> str:
    if given is not None:
        return given.strip()
    if not _on_terminal():
        raise CommandFailed("--name: is required if standard input is not a terminal")
    return input(prompt).strip()


def _password() -> str:
    """The password: entered twice on a terminal, else one line of standard input."""
    if _on_terminal():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Repeat the password: ") != password:
            raise CommandFailed("the two passwords differ")
        return password
    return sys.stdin.readline().rstrip("\r\n")


def _on_terminal() -> bool:
    return sys.stdin.isatty()
