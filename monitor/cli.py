"""The command line: one subcommand for each process and each chore."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from monitor import bootstrap, settings
from monitor.commands import (
    CommandFailed,
    channels,
    export,
    incidents,
    ledger,
    routes,
    sensors,
    silences,
    tokens,
    users,
)
from monitor.errors import Conflict, Invalid, NotFound
from monitor.keyfile import make_private, private_files
from monitor.settings import Settings, SettingsError
from monitor.simulator import command as simulator
from monitor.state.database import StateUnavailable
from monitor.store.interface import StoreError


def build_parser() -> argparse.ArgumentParser:
    """All subcommands with their options; each sets `run`."""
    parser = argparse.ArgumentParser(
        prog="monitor", description="Sensors report heartbeats; silence becomes one alert."
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=os.environ.get("MONITOR_CONFIG"),
        help="settings file, as config/monitor.example.toml (default: $MONITOR_CONFIG, or none)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., None], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    command("serve", _serve, "run everything: migrate, then web, scheduler and notifier")
    command("web", _web, "answer sensors and pages")
    command("scheduler", _scheduler, "sweep for silent sensors; several stand by for each other")
    command("notifier", _notifier, "deliver what is owed to recipients; any number may run")
    command("migrate", _migrate, "create or update the state's tables and the store's buckets")
    command("check-config", _check_config, "print every error in the settings, or that all is well")
    for chores in (tokens, sensors, incidents, ledger, silences, channels, routes, users, export):
        chores.add(command)
    simulator.add_arguments(command("simulate", _simulate, "drive a live server with a fleet"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed with a sentence on standard error, 2 bad usage."""
    parser = build_parser()
    given_arguments = sys.argv[1:] if arguments is None else arguments
    try:
        "".join(given_arguments).encode()
    except UnicodeEncodeError:
        parser.error("the arguments must be UTF-8")
    options = parser.parse_args(given_arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if options.command == "simulate":
        return simulator.run(options)
    try:
        given = settings.load(options.config, os.environ)
        with private_files():
            make_private(given.data_directory)
            bootstrap.check(given)
            options.run(given, options)
    except SettingsError as error:
        print("The settings can't be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 1
    except Invalid as error:
        print(f"monitor {options.command}: {error.field} {error}", file=sys.stderr)
        return 1
    except (CommandFailed, NotFound, Conflict, StateUnavailable, StoreError) as error:
        print(f"monitor {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(given: Settings, options: argparse.Namespace) -> None:
    bootstrap.migrate(given)
    _require_token(given)
    common = ["--config", str(options.config)] if options.config else []
    print(f"heartbeat-monitor: {given.server.base_url}  data: {given.data_directory}", flush=True)
    bootstrap.supervise([[*common, name] for name in ("web", "scheduler", "notifier")])


def _web(given: Settings, _options: argparse.Namespace) -> None:
    _require_token(given)
    try:
        bootstrap.run_web(given)
    except OSError as error:
        address = f"{given.server.host}:{given.server.port}"
        raise CommandFailed(f"can't listen on {address}: {error.strerror}") from error


def _require_token(given: Settings) -> None:
    if not given.server.on_loopback and not bootstrap.has_ingest_token(given):
        raise CommandFailed(
            f"listening on {given.server.host} needs an ingest token; make one with "
            "`monitor token create NAME`, or set MONITOR_INGEST_TOKEN"
        )


def _scheduler(given: Settings, _options: argparse.Namespace) -> None:
    bootstrap.run_scheduler(given)


def _notifier(given: Settings, _options: argparse.Namespace) -> None:
    bootstrap.run_notifier(given)


def _migrate(given: Settings, _options: argparse.Namespace) -> None:
    bootstrap.migrate(given)
    print("state and store are up to date")


def _check_config(given: Settings, _options: argparse.Namespace) -> None:
    store = f"InfluxDB at {given.influxdb.url}" if given.influxdb else "embedded SQLite"
    print(f"all is well: store {store}, data in {given.data_directory}")


def _simulate(_given: Settings, _options: argparse.Namespace) -> None:
    """Needs no settings: `main` hands over before they are read."""
