"""`monitor createsuperuser` and `monitor user`."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest
from sqlalchemy import Engine

from monitor import cli
from monitor.services import passwords
from monitor.state import audit, logins, users
from monitor.state.database import reading, writing

PASSWORD = "correct horse battery"


class CommandRunner:
    """Runs commands with a password on standard input."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str, password: str = PASSWORD, status: int = 0) -> str:
        """Run a command; return its standard output, or its standard error if `status` is not 0."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        self._capsys.readouterr()
        assert cli.main(list(arguments)) == status
        printed = self._capsys.readouterr()
        return printed.err if status else printed.out


@pytest.fixture
def run(
    state: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandRunner:
    return CommandRunner(capsys, monkeypatch)


def person(state: Engine, name: str) -> users.User:
    with reading(state) as connection:
        found = users.find(connection, name)
    assert found is not None
    return found


def test_createsuperuser_reads_options_and_the_password_from_standard_input(
    state: Engine, run: CommandRunner
) -> None:
    first = ("createsuperuser", "--name", "Anna", "--email", "anna@example.org")
    assert run(*first) == "Anna is an administrator\n"
    made = person(state, "anna")
    assert (made.role, made.active, made.email) == ("administrator", True, "anna@example.org")
    assert passwords.matches(made.password, PASSWORD)
    assert run("user", "list").splitlines() == [
        "NAME  EMAIL             ROLE           LAST LOGIN",
        "Anna  anna@example.org  administrator  never",
    ]
    assert json.loads(run("user", "list", "--json")) == {
        "name": "Anna",
        "email": "anna@example.org",
        "role": "administrator",
        "active": True,
        "last_login_at": None,
    }
    with reading(state) as connection:
        (entry,) = audit.listed(connection, 10)
    assert (entry.who, entry.what, entry.subject) == ("command line", "user created", "Anna")


@pytest.mark.parametrize(
    ("password", "output"),
    [
        ("", "at least 10 characters"),
        ("ninechars", "at least 10 characters"),
        ("aaaaaaaaaaaa", "5 different characters"),
        ("Anna Karenina", "too easy"),
        ("anna karenina1", "too easy"),
        ("annak@example.org", "too easy"),
        ("Password123!", "too easy"),
        ("1234567890", "too easy"),
        ("x1y2z" * 500, "at most 1000 characters"),
    ],
)
def test_weak_password_is_refused(
    state: Engine, run: CommandRunner, password: str, output: str
) -> None:
    command = ("createsuperuser", "--name", "Anna Karenina", "--email", "annak@example.org")
    assert output in run(*command, password=password, status=1)
    with reading(state) as connection:
        assert not users.exist(connection)


def test_existing_user_is_reset_only_with_the_option(state: Engine, run: CommandRunner) -> None:
    first = ("createsuperuser", "--name", "Anna")
    run(*first)
    run("createsuperuser", "--name", "Bert")
    run("user", "deactivate", "anna")
    assert "--reset" in run(*first, password="a wholly new one", status=1)
    assert not person(state, "Anna").active
    output = run(*first, "--reset", password="a wholly new one")
    assert output == "Anna is an administrator, with a new password\n"
    assert person(state, "Anna").active
    assert passwords.matches(person(state, "Anna").password, "a wholly new one")


def test_new_password_ends_the_logins_of_the_user(state: Engine, run: CommandRunner) -> None:
    run("createsuperuser", "--name", "Anna")
    anna = person(state, "Anna")
    with writing(state) as connection:
        secret = logins.start(connection, anna.id, 1_000)
    assert run("user", "password", "Anna", password="a wholly new one") == (
        "Anna has a new password\n"
    )
    with reading(state) as connection:
        assert logins.find(connection, secret, 1_000) is None
    assert "no user 'Bert'" in run("user", "password", "Bert", status=1)


def test_last_administrator_cannot_be_deactivated(state: Engine, run: CommandRunner) -> None:
    run("createsuperuser", "--name", "Anna")
    assert "last administrator" in run("user", "deactivate", "Anna", status=1)
    run("createsuperuser", "--name", "Bert")
    assert run("user", "deactivate", "Anna") == "Anna can no longer log in\n"
    assert "Anna  -      administrator, deactivated  never" in run("user", "list")


@pytest.mark.parametrize("arguments", [(), ("--name", "a@b"), ("--name", "Anna", "--email", "x")])
def test_invalid_name_or_email_is_named_in_the_error(
    run: CommandRunner, arguments: tuple[str, ...]
) -> None:
    output = run("createsuperuser", *arguments, status=1)
    assert "name: " in output or "email: " in output


def test_command_asks_on_a_terminal_and_shows_no_password(state: Engine) -> None:
    def dialogue(*answers: tuple[str, str]) -> str:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "monitor", "createsuperuser"]
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ):
            os.close(theirs)
            seen = ""
            for question, answer in answers:
                while question not in seen:
                    seen += os.read(ours, 1024).decode()
                seen = seen.partition(question)[2]
                os.write(ours, f"{answer}\n".encode())
            rest = seen
            try:
                while part := os.read(ours, 1024):
                    rest += part.decode()
            except OSError:  # the other end is closed
                pass
            os.close(ours)
        return rest

    asked = [
        ("Name: ", "Anna"),
        ("empty): ", ""),
        ("Password: ", PASSWORD),
        ("Repeat the password: ", PASSWORD),
    ]
    output = dialogue(*asked)
    assert "Anna is an administrator" in output
    assert PASSWORD not in output
    output = dialogue(("Name: ", "anna"), ("[y/N] ", ""))
    assert "nothing was changed" in output
    again = dialogue(
        ("Name: ", "anna"),
        ("[y/N] ", "y"),
        ("Password: ", "one or other"),
        ("Repeat the password: ", "another"),
    )
    assert "the two passwords differ" in again
