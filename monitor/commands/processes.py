"""`monitor serve`, `web`, `shipper`, `scheduler`, `notifier`, `migrate` and `check-config`."""

import argparse
import logging
import os
import sys
from collections.abc import Callable

from monitor.commands import CommandFailed
from monitor.settings import Settings, warnings

log = logging.getLogger(__name__)

# Each process imports only what it runs, so that it starts quickly and stays small.


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands to the parser."""
    serve = command("serve", _serve)
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on (default: 8000)")
    serve.add_argument("--data", metavar="DIRECTORY", help="data directory (default: data)")
    command("web", _web)
    command("shipper", _shipper)
    command("scheduler", _scheduler)
    command("notifier", _notifier)
    command("migrate", _migrate)
    command("check-config", _check_config)


def _serve(given: Settings, options: argparse.Namespace) -> None:
    from monitor.bootstrap import checks

    checks.migrate(given)
    _require_token(given)
    print(f"heartbeat-monitor: {given.server.base_url}  data: {given.data_directory}", flush=True)
    # A new process image, because the supervisor needs none of the modules imported so far.
    arguments = ["-m", "monitor.supervisor", given.log.level, given.log.format, *_common(options)]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 our own command line


def _common(options: argparse.Namespace) -> list[str]:
    """The arguments before the command, for the processes that this one starts."""
    return ["--config", str(options.config)] if options.config else []


def _web(given: Settings, options: argparse.Namespace) -> None:
    from monitor.bootstrap import web

    _require_token(given)
    for warning in warnings(given):
        log.warning(warning)
    try:
        web.run(given, _common(options))
    except OSError as error:
        reason = error.strerror or error  # such as a name that DNS doesn't know
        raise CommandFailed(f"can't listen on {given.server.listens_on}: {reason}") from error


def _shipper(given: Settings, _options: argparse.Namespace) -> None:
    from monitor.bootstrap import shipper

    shipper.run(given)


def _require_token(given: Settings) -> None:
    from monitor.bootstrap import checks

    if not given.server.on_loopback and not checks.has_ingest_token(given):
        raise CommandFailed(
            f"listening on {given.server.host} needs an ingest token; create one with "
            "`monitor token create NAME`, or set MONITOR_INGEST_TOKEN"
        )


def _scheduler(given: Settings, _options: argparse.Namespace) -> None:
    from monitor.bootstrap import scheduler

    scheduler.run(given)


def _notifier(given: Settings, _options: argparse.Namespace) -> None:
    from monitor.bootstrap import notifier

    notifier.run(given)


def _migrate(given: Settings, _options: argparse.Namespace) -> None:
    from monitor.bootstrap import checks

    checks.migrate(given)
    print("state and store are up to date")


def _check_config(given: Settings, _options: argparse.Namespace) -> None:
    store = f"InfluxDB at {given.influxdb.url}" if given.influxdb else "embedded SQLite"
    print(f"the settings are valid: store {store}, data in {given.data_directory}")
    for warning in warnings(given):
        print(f"warning: {warning}", file=sys.stderr)
