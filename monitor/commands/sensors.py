"""`monitor sensor`: what a sensor is called, where it is, when its silence counts."""

import argparse
import re
from collections.abc import Callable

from sqlalchemy import Connection

from monitor.commands import CommandFailed
from monitor.model import SECOND, format_mac, parse_mac
from monitor.settings import Settings
from monitor.state import audit, sensors
from monitor.state.database import open_state, writing
from monitor.state.users import COMMAND_LINE

_LABEL = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,39})=(.{0,200})", re.DOTALL)
_RESERVED = ("mac", "name", "site")
_LONGEST_THRESHOLD = 10 * 365 * 86_400


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    sensor = command("sensor", _sensor, "name a sensor, set its site, labels, threshold; pause it")
    sensor.add_argument("mac_address", type=_mac)
    sensor.add_argument("--name")
    sensor.add_argument("--site", help="alerts are grouped by site")
    sensor.add_argument(
        "--label",
        action="append",
        type=_label,
        metavar="NAME=VALUE",
        help="for routes and silences; severity is critical, warning or info; NAME= removes it",
    )
    sensor.add_argument("--threshold", type=_threshold, help="seconds of silence; 0: the default")
    sensor.add_argument("--paused", choices=("yes", "no"))


def _mac(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _label(text: str) -> tuple[str, str]:
    found = _LABEL.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} must look like floor=3")
    if found[1] in _RESERVED:
        raise argparse.ArgumentTypeError(f"{found[1]} is not a label; see --{found[1]}")
    return found[1], found[2].strip()


def _threshold(text: str) -> float:
    seconds = float(text)
    if not (seconds == 0 or 0.1 <= seconds <= _LONGEST_THRESHOLD):
        raise argparse.ArgumentTypeError("must be 0, or from 0.1 seconds to ten years")
    return seconds


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
    if not (values or options.label):
        raise CommandFailed("say what to set: --name, --site, --label, --threshold or --paused")
    with writing(open_state(given.state_url)) as connection:
        version = sensors.next_version(connection)
        if options.label:
            values["labels"] = _labels(connection, options.mac_address, dict(options.label))
        sensors.configure(connection, options.mac_address, version, **values)
        mac = format_mac(options.mac_address)
        audit.record(connection, COMMAND_LINE, "sensor changed", mac, values)
    print(f"{mac} is set")


def _labels(connection: Connection, mac: int, changed: dict[str, str]) -> dict[str, str]:
    known = sensors.find(connection, mac)
    labels = {**(known.labels if known else {}), **changed}
    return {name: value for name, value in labels.items() if value}
