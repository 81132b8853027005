"""`monitor sensor`: sets name, site, labels and threshold of a sensor, and pauses it."""

import argparse
from collections.abc import Callable
from functools import partial

from monitor.commands import CommandFailed, option
from monitor.incidents import sensor_fields
from monitor.model import format_mac, parse_mac
from monitor.services import sensors
from monitor.settings import Settings
from monitor.state.database import open_state
from monitor.state.users import COMMAND_LINE


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    sensor = command("sensor", _sensor)
    sensor.add_argument("mac_address", type=option(parse_mac), help="MAC address")
    for field, summary in (("name", "name of the sensor"), ("site", "alerts are grouped by site")):
        sensor.add_argument(f"--{field}", type=option(partial(_words, field)), help=summary)
    sensor.add_argument(
        "--label",
        action="append",
        type=option(sensor_fields.label),
        metavar="NAME=VALUE",
        help="label for routes and silences; NAME= removes the label; the label severity can be "
        "critical, warning or info",
    )
    sensor.add_argument(
        "--threshold",
        type=option(_threshold),
        help="seconds of silence until the sensor is down; 0: the default",
    )
    sensor.add_argument("--paused", choices=("yes", "no"), help="yes: the sensor is not monitored")


def _words(field: str, text: str) -> str:
    return sensor_fields.words(field, text) or ""


def _threshold(text: str) -> int:
    """The threshold in ms. 0: the default."""
    return 0 if text.strip() == "0" else sensor_fields.threshold(text) or 0


def _sensor(given: Settings, options: argparse.Namespace) -> None:
    values: dict[str, object] = {
        name: getattr(options, name) or None
        for name in ("name", "site")
        if getattr(options, name) is not None
    }
    if options.threshold is not None:
        values["threshold"] = options.threshold or None
    if options.paused is not None:
        values["paused"] = options.paused == "yes"
    if not (values or options.label):
        raise CommandFailed(
            "nothing to change: give --name, --site, --label, --threshold or --paused"
        )
    labels, mac = dict(options.label or ()), options.mac_address
    sensors.change(open_state(given.state_url), COMMAND_LINE, mac, values, labels)
    print(f"{format_mac(mac)} saved")
