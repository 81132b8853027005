"""`monitor createsuperuser` and `monitor user`: people who may log in."""

import argparse
import getpass
import sys
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from monitor.clock import Clock
from monitor.commands import CommandFailed, add_action
from monitor.model import format_time
from monitor.settings import Settings
from monitor.state import audit, users
from monitor.state.database import open_state, reading, writing
from monitor.state.users import COMMAND_LINE, InvalidUser, LastAdministrator, User
from monitor.web.auth import passwords

_ADMINISTRATOR = users.ROLES[-1]


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
    add_action(actions, "list", "list names, roles and last logins")
    for name, summary in (
        ("deactivate", "log out a user and block further logins"),
        ("password", "ask for a new password, or read it from standard input, and set it"),
    ):
        add_action(actions, name, summary).add_argument("name", help="name or email address")


def _create(given: Settings, options: argparse.Namespace) -> None:
    engine = open_state(given.state_url)
    name = _asked(options.name, "Name: ")
    with reading(engine) as connection:
        known = users.find(connection, name)
    if known is not None:
        _reset(engine, known, options)
        return
    email = _asked(options.email, "Email (may be empty): ") if _on_terminal() else options.email
    password = _password(name, email)
    try:
        with writing(engine) as connection:
            users.add(
                connection, name, _ADMINISTRATOR, Clock().now(), email=email, password=password
            )
            audit.record(connection, COMMAND_LINE, "user added", name, {"role": _ADMINISTRATOR})
    except InvalidUser as error:
        raise CommandFailed(f"{error.field}: {error}") from error
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
    password = _password(known.name, known.email)
    with writing(engine) as connection:
        users.change(connection, known.id, role=_ADMINISTRATOR, active=True)
        users.set_password(connection, known.id, password)
        audit.record(connection, COMMAND_LINE, "user reset", known.name, {"role": _ADMINISTRATOR})
    print(f"{known.name} is an administrator, with a new password")


def _user(given: Settings, options: argparse.Namespace) -> None:
    engine = open_state(given.state_url)
    if options.action == "list":
        _list(engine)
    elif options.action == "deactivate":
        try:
            with writing(engine) as connection:
                person = _found(connection, options.name)
                users.change(connection, person.id, active=False)
                audit.record(connection, COMMAND_LINE, "user deactivated", person.name)
        except LastAdministrator as error:
            raise CommandFailed(str(error)) from error
        print(f"{person.name} can no longer log in")
    else:
        with reading(engine) as connection:
            person = _found(connection, options.name)
        password = _password(person.name, person.email)
        with writing(engine) as connection:
            users.set_password(connection, person.id, password)
            audit.record(connection, COMMAND_LINE, "password changed", person.name)
        print(f"{person.name} has a new password")


def _list(engine: Engine) -> None:
    with reading(engine) as connection:
        listed = users.listed(connection)
    for one in listed:
        last = one.last_login_at
        seen = "never logged in" if last is None else f"last logged in {format_time(last)}"
        stand = one.role if one.active else f"{one.role}, deactivated"
        print(f"{one.name}\t{one.email or '-'}\t{stand}\t{seen}")


def _found(connection: Connection, name: str) -> User:
    person = users.find(connection, name)
    if person is None:
        raise CommandFailed(f"there is no user {name!r}")
    return person


def _asked(given: str | None, prompt: str) -> str:
    if given is not None:
        return given.strip()
    if not _on_terminal():
        raise CommandFailed("--name: is required if standard input is not a terminal")
    return input(prompt).strip()


def _password(*about: str | None) -> str:
    """Its hash; typed twice on a terminal, else one line of standard input."""
    if _on_terminal():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Repeat the password: ") != password:
            raise CommandFailed("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if weak := passwords.weakness(password, *about):
        raise CommandFailed(weak)
    return passwords.hashed(password)


def _on_terminal() -> bool:
    return sys.stdin.isatty()
