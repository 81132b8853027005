"""The command line: one subcommand for each process and each task."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from monitor import logs, program, settings
from monitor.commands import sentence
from monitor.errors import Invalid, MonitorError
from monitor.keyfile import make_private, private_files
from monitor.settings import SettingsError

COMMANDS = {
    "serve": (
        "commands.processes",
        "run everything: migrate, then start web, scheduler and notifier",
    ),
    "web": ("commands.processes", "receive heartbeats and serve the pages"),
    "shipper": ("commands.processes", "move received heartbeats to the store"),
    "scheduler": (
        "commands.processes",
        "detect silent sensors; you can run several: one is active",
    ),
    "notifier": ("commands.processes", "send pending messages; you can run several"),
    "migrate": (
        "commands.processes",
        "create or update the tables of the state and the buckets of the store",
    ),
    "check-config": ("commands.processes", "check the settings and print all errors"),
    "token": ("commands.tokens", "create, list and revoke tokens"),
    "sensor": (
        "commands.sensors",
        "change the name, site, labels or threshold of a sensor, or pause it",
    ),
    "incidents": ("commands.incidents", "list incidents, the newest first"),
    "acknowledge": ("commands.incidents", "acknowledge incidents"),
    "ledger": (
        "commands.ledger",
        "show who was notified of each incident, and why others were not",
    ),
    "silence": ("commands.silences", "hold messages about some sensors for a limited time"),
    "maintenance": ("commands.silences", "hold messages during planned maintenance"),
    "channel": ("commands.channels", "manage channels: where messages are sent"),
    "send": ("commands.channels", "send a test message through a channel"),
    "route": (
        "commands.routes",
        "manage routes: which channels receive the alerts of which sensors",
    ),
    "createsuperuser": ("commands.users", "create an administrator who logs in with a password"),
    "user": ("commands.users", "list and deactivate users, and set passwords"),
    "export": ("commands.export", "write heartbeats to standard output, sorted by time"),
    "simulate": (
        "simulator.command",
        "send the heartbeats of a simulated or recorded fleet to a server",
    ),
}
"""Name -> the module that adds and runs it, imported only when needed, and its help text."""


_LISTENING = ("serve", "web", "check-config")
_CHECKED_BY_PARENT = ("shipper",)
"""Commands that another one starts after it has checked the same settings. To check them again
would take 25 MB of memory."""

_CREATES_DATA = ("serve", "web", "shipper", "scheduler", "notifier", "migrate", "check-config")
"""Commands that may start where there is no data directory yet."""

OVERRIDES = {
    "host": "MONITOR_SERVER_HOST",
    "port": "MONITOR_SERVER_PORT",
    "data": "MONITOR_DATA_DIRECTORY",
}
"""Options of `monitor serve` -> the environment variables that they override."""


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser with all subcommands. Only those in the `chosen` one's module get their options
    and `run`."""
    parser = argparse.ArgumentParser(
        prog="monitor",
        description="Receive heartbeats from sensors, and send alerts about silent sensors.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=os.environ.get("MONITOR_CONFIG"),
        help="settings file (default: $MONITOR_CONFIG, or none)",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('heartbeat-monitor')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {
        name: commands.add_parser(name, help=summary, description=sentence(summary))
        for name, (_, summary) in COMMANDS.items()
    }

    def command(name: str, run: Callable[..., None]) -> argparse.ArgumentParser:
        parsers[name].set_defaults(run=run)
        return parsers[name]

    if chosen is not None:
        import_module(f"monitor.{COMMANDS[chosen][0]}").add(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 for success, 1 for an error (printed to standard error), 2 for
    invalid arguments, 130 for Ctrl-C."""
    given_arguments = sys.argv[1:] if arguments is None else arguments
    before_command = argparse.ArgumentParser(add_help=False)
    before_command.add_argument("--config")
    _, others = before_command.parse_known_args(given_arguments)
    parser = build_parser(next((each for each in others if each in COMMANDS), None))
    try:
        "".join(given_arguments).encode()
    except UnicodeEncodeError:
        parser.error("the arguments must be UTF-8")
    options = parser.parse_args(given_arguments)
    try:
        status = int(options.run(options)) if options.command == "simulate" else _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Without this, the interpreter would report the closed pipe again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _require_data(given: settings.Settings, command: str) -> None:
    """Raises MonitorError if a command that needs data finds none: it must not create a second data
    directory where the service does not run."""
    directory = given.data_directory
    if command in _CREATES_DATA or given.state.url or directory.exists():
        return
    raise MonitorError(
        f"there is no data in {directory}; run the command in the directory where the service "
        "runs, or set MONITOR_DATA_DIRECTORY to its data directory; "
        "`monitor serve` creates it"
    )


@contextmanager
def _left_as_found(directory: Path, command: str) -> Iterator[None]:
    """Removes the data directory that `check-config` has created to see whether it can."""
    found = directory.exists()
    try:
        yield
    finally:
        if command == "check-config" and not found:
            with suppress(OSError):
                directory.rmdir()


def _run(options: argparse.Namespace) -> int:
    overrides = {
        variable: value
        for option, variable in OVERRIDES.items()
        if (value := getattr(options, option, None)) is not None
    }
    os.environ.update(overrides)  # for the processes that `serve` starts
    if linked := sorted(settings.linked_variables(os.environ)):
        names = ", ".join(linked)
        print(f"warning: ignored the variables of Kubernetes Services: {names}", file=sys.stderr)
        for variable in linked:  # so that those processes don't warn again
            del os.environ[variable]
    try:
        given = settings.load(options.config, os.environ)
        for variable, value in given.for_outgoing.items():
            os.environ[variable] = value
            os.environ.pop(f"{variable}_FILE", None)
        logs.configure(given.log.level, given.log.format)
        _require_data(given, options.command)
        with private_files(), _left_as_found(given.data_directory, options.command):
            make_private(given.data_directory)
            if options.command not in _CHECKED_BY_PARENT:
                from monitor.bootstrap import checks  # imports the database library, unlike --help

                checks.check(given, options.command in _LISTENING)
            options.run(given, options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except SettingsError as error:
        print("The settings can't be used:", file=sys.stderr)
        for problem in error.problems:
            for option, variable in OVERRIDES.items():
                if variable in overrides:
                    problem = problem.replace(variable, f"--{option}")
            print(f"  {problem}", file=sys.stderr)
        return 1
    except Invalid as error:
        return _failed(options, f"{error.field}: {error}")
    except MonitorError as error:
        return _failed(options, str(error))
    return 0


def _failed(options: argparse.Namespace, reason: str) -> int:
    hint = reason.replace("`monitor ", f"`{program.command()} ")
    print(f"monitor {options.command}: {hint}", file=sys.stderr)
    return 1
