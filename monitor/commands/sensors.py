"""`monitor sensor`: lists, shows, changes and deletes sensors."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from monitor.bootstrap.stores import open_store
from monitor.clock import Clock
from monitor.commands import Actions, CommandFailed, add_action, option
from monitor.commands.listing import add_json, print_json, print_list
from monitor.errors import NotFound
from monitor.incidents import sensor_fields
from monitor.model import DAY, SECOND, format_mac, format_time, parse_mac
from monitor.outbox.wording import duration, long, plain
from monitor.services import sensors
from monitor.settings import Settings, milliseconds
from monitor.state import ledger, sensor_list
from monitor.state import sensors as registered
from monitor.state.database import open_state, reading
from monitor.state.sensors import Sensor
from monitor.state.users import COMMAND_LINE

_TITLES = ("mac address", "name", "site", "labels", "threshold", "state")


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    actions = command("sensor", _list).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    listed = add_action(actions, "list", "list sensors, by MAC address")
    listed.add_argument(
        "text", nargs="*", help="words that the name, the site or the MAC address must contain"
    )
    add_json(listed, "sensor")
    shown = _of_one(actions, "show", "show a sensor and its last heartbeat", _show)
    shown.add_argument("--json", action="store_true", help="print a JSON object")
    _add_fields(
        _of_one(actions, "set", "change a sensor, or register one before its first heartbeat", _set)
    )
    _of_one(
        actions,
        "delete",
        "delete a sensor; if it reports again, it is registered again",
        _delete,
    )


def _of_one(
    actions: Actions, name: str, summary: str, run: Callable[..., None]
) -> argparse.ArgumentParser:
    added = add_action(actions, name, summary)
    added.set_defaults(run=run)
    added.add_argument("mac_address", type=option(parse_mac), metavar="MAC", help="MAC address")
    return added


def _add_fields(changed: argparse.ArgumentParser) -> None:
    for field, summary in (("name", "name of the sensor"), ("site", "alerts are grouped by site")):
        changed.add_argument(f"--{field}", type=option(partial(_words, field)), help=summary)
    changed.add_argument(
        "--label",
        action="append",
        type=option(sensor_fields.label),
        metavar="NAME=VALUE",
        help="label for routes and silences; NAME= removes the label; the label severity can be "
        "critical, warning or info",
    )
    changed.add_argument(
        "--threshold",
        type=option(_threshold),
        metavar="DURATION",
        help="silence until the sensor is down, such as 5m; a number alone is in seconds; "
        "0: the default",
    )
    changed.add_argument("--paused", choices=("yes", "no"), help="yes: the sensor is not monitored")


def _words(field: str, text: str) -> str:
    return sensor_fields.words(field, text) or ""


def _threshold(text: str) -> int:
    """The threshold in ms. 0: the default."""
    return 0 if text.strip() == "0" else sensor_fields.threshold(text) or 0


def _list(given: Settings, options: argparse.Namespace) -> None:
    engine, default = open_state(given.state_url), milliseconds(given.staleness.threshold)
    with reading(engine) as connection:
        found = sorted(sensor_list.found(connection, " ".join(options.text)))
        down = {case.mac for case in ledger.cases(connection, len(found), still_open=True)}
    print_list(
        found,
        options.json,
        lambda row: _shape(row, default, row.mac in down),
        _TITLES,
        lambda row: _cells(row, default, row.mac in down),
    )


def _cells(row: Sensor, default: int, down: bool) -> tuple[str, ...]:
    return (
        format_mac(row.mac),
        row.name or "",
        row.site or "",
        _labels(row),
        duration(row.threshold or default),
        _state(row, down),
    )


def _shape(row: Sensor, default: int, down: bool) -> dict[str, Any]:
    return {
        "mac_address": format_mac(row.mac),
        "name": row.name,
        "site": row.site,
        "labels": row.labels,
        "threshold_seconds": (row.threshold or default) / SECOND,
        "state": _state(row, down) or None,
    }


def _state(row: Sensor, down: bool) -> str:
    return "paused" if row.paused else "down" if down else ""


def _labels(row: Sensor) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(row.labels.items()))


def _show(given: Settings, options: argparse.Namespace) -> None:
    mac, engine = options.mac_address, open_state(given.state_url)
    with reading(engine) as connection:
        row = _registered(registered.find(connection, mac), mac)
        first = registered.first_seen(connection, mac)
        cases = ledger.cases(connection, 1, mac=mac, still_open=True)
    now, zone = Clock().now(), ZoneInfo(given.alerts.time_zone)
    store = open_store(given)
    try:
        newest = store.newest(mac, now + DAY, 1)
    finally:
        store.close()
    default = milliseconds(given.staleness.threshold)
    last = newest[0] if newest else None
    if options.json:
        print_json(
            [
                {
                    **_shape(row, default, bool(cases)),
                    "first_heartbeat": format_time(first) if first else None,
                    "last_heartbeat": format_time(last.time) if last else None,
                    "metrics": (last.metrics if last else None) or {},
                    "incident": cases[0].id if cases else None,
                }
            ]
        )
        return
    for title, cell in zip(_TITLES, _cells(row, default, bool(cases)), strict=True):
        print(f"{title}: {plain(cell) or '-'}")
    print(f"first heartbeat: {long(first, zone) if first else 'none yet'}")
    print(f"last heartbeat: {long(last.time, zone) if last else 'none'}")
    for name, value in ((last.metrics if last else None) or {}).items():
        print(f"    {plain(name)}: {value:g}")
    print(f"open incident: {cases[0].id if cases else 'none'}")


def _set(given: Settings, options: argparse.Namespace) -> None:
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


def _delete(given: Settings, options: argparse.Namespace) -> None:
    mac, engine = options.mac_address, open_state(given.state_url)
    _registered(sensors.find(engine, mac), mac)
    sensors.forget(engine, COMMAND_LINE, mac)
    print(f"{format_mac(mac)} is deleted")


def _registered(row: Sensor | None, mac: int) -> Sensor:
    if row is None or row.forgotten_at is not None:
        raise NotFound(f"there is no sensor {format_mac(mac)}; `monitor sensor list` shows all")
    return row
