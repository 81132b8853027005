"""The command line: one subcommand for each process and each chore."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from monitor import bootstrap, settings
from monitor.commands import CommandFailed, incidents, ledger, tokens
from monitor.model import SECOND, format_mac, parse_mac
from monitor.settings import Settings, SettingsError
from monitor.simulator import command as simulator
from monitor.state.database import StateUnavailable
from monitor.state.tokens import NameTaken
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
    for chores in (tokens, incidents, ledger):
        chores.add(command)
    sensor = command("sensor", _sensor, "name a sensor, set its site or threshold, pause it")
    sensor.add_argument("mac_address", type=_mac)
    sensor.add_argument("--name")
    sensor.add_argument("--site", help="alerts are grouped by site")
    sensor.add_argument("--threshold", type=_threshold, help="seconds of silence; 0: the default")
    sensor.add_argument("--paused", choices=("yes", "no"))
    send = command("send", _send, "send a test message through a channel")
    send.add_argument("channel", choices=("email", "webhook"))
    simulator.add_arguments(command("simulate", _simulate, "drive a live server with a fleet"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed with a sentence on standard error, 2 bad usage."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if options.command == "simulate":
        return simulator.run(options)
    try:
        given = settings.load(options.config, os.environ)
        bootstrap.check(given)
        options.run(given, options)
    except SettingsError as error:
        print("The settings can't be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 1
    except (CommandFailed, NameTaken, StateUnavailable, StoreError) as error:
        print(f"monitor {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _mac(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _threshold(text: str) -> float:
    seconds = float(text)
    if not (seconds == 0 or 0.1 <= seconds <= 10 * 365 * 86_400):
        raise argparse.ArgumentTypeError("must be 0, or from 0.1 seconds to ten years")
    return seconds


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


def _sensor(given: Settings, options: argparse.Namespace) -> None:
    values: dict[str, object] = {
        name: getattr(options, name) or None
        for name in ("name", "site")
        if getattr(options, name) is not None
    }
    if options.threshold is not None:
        values["threshold"] = round(options.threshold * SECOND) or None
    if options.paused is not None:
        values["paused"] = options.paused == "yes"
    if not values:
        raise CommandFailed("say what to set: --name, --site, --threshold or --paused")
    bootstrap.Chores(given).configure_sensor(options.mac_address, values)
    print(f"{format_mac(options.mac_address)} is set")


def _send(given: Settings, options: argparse.Namespace) -> None:
    problem = bootstrap.send_test(given, options.channel)
    if problem:
        raise CommandFailed(problem)
    print(f"sent through {options.channel}")


def _simulate(_given: Settings, _options: argparse.Namespace) -> None:
    """Needs no settings: `main` hands over before they are read."""
