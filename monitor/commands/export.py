"""`monitor export`: heartbeats as CSV or NDJSON."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from monitor.bootstrap.stores import open_store
from monitor.clock import Clock
from monitor.commands import CommandFailed, option
from monitor.model import DAY, HOUR, Heartbeat, format_mac, format_time, parse_mac, parse_time
from monitor.settings import Settings
from monitor.state import sensor_list
from monitor.state.database import open_state


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    exported = command("export", _export)
    exported.add_argument(
        "--sensor",
        action="append",
        type=option(parse_mac),
        metavar="MAC",
        help="MAC address; can be repeated",
    )
    exported.add_argument(
        "--site", action="append", help="all sensors of this site; can be repeated"
    )
    exported.add_argument(
        "--from",
        dest="start",
        type=option(parse_time),
        metavar="TIME",
        help="start, such as 2026-11-23T03:42:00Z (default: oldest heartbeat)",
    )
    exported.add_argument(
        "--to", dest="stop", type=option(parse_time), metavar="TIME", help="end, not included"
    )
    exported.add_argument(
        "--format",
        choices=("csv", "ndjson"),
        default="csv",
        help="csv (default); ndjson: you can send it to POST /heartbeats",
    )


def _export(given: Settings, options: argparse.Namespace) -> None:
    now = Clock().now()
    oldest, newest = now - given.store.retention_days * DAY, now + HOUR
    start = oldest if options.start is None else max(options.start, oldest)
    stop = newest if options.stop is None else min(options.stop, newest)
    if start >= stop:
        raise CommandFailed("--from must be earlier than --to, and --to not older than the store")
    macs = _chosen(given, options)
    store = open_store(given)
    try:
        beats = store.heartbeats(macs, start, stop)
        if options.format == "csv":
            _print(_csv(beats, sorted(store.metric_names())))
        else:
            _print(_ndjson(beats))
    finally:
        store.close()


def _chosen(given: Settings, options: argparse.Namespace) -> set[int]:
    """The sensors that the options name, or all sensors."""
    engine = open_state(given.state_url)
    known = {sensor.mac: sensor.site for sensor in sensor_list.every(engine)}
    named = set(options.sensor or ())
    for site in options.site or ():
        there = {mac for mac, its_site in known.items() if its_site == site}
        if not there:
            raise CommandFailed(f"no sensor is at {site}")
        named |= there
    return named or set(known)


def _csv(beats: Iterable[Heartbeat], metrics: Sequence[str]) -> Iterator[str]:
    """A header line, then one line per heartbeat. Missing metrics are empty.

    No value needs quotation marks: there are only times, addresses, true or false, and numbers.
    """
    yield ",".join(("time", "mac_address", "received", "live", *metrics))
    for beat in beats:
        values = beat.metrics or {}
        yield ",".join(
            (
                format_time(beat.time),
                format_mac(beat.mac),
                format_time(beat.received),
                "true" if beat.live else "false",
                *(repr(values[name]) if name in values else "" for name in metrics),
            )
        )


def _ndjson(beats: Iterable[Heartbeat]) -> Iterator[str]:
    """One JSON object per heartbeat, in the format that `POST /heartbeats` accepts."""
    for beat in beats:
        row = {"mac_address": format_mac(beat.mac), "time": format_time(beat.time)}
        yield msgspec.json.encode({**row, **(beat.metrics or {})}).decode()


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
