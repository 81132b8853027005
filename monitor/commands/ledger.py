"""`monitor ledger`: what was sent about each incident, attempts, and why messages were not sent."""

import argparse
from collections.abc import Callable
from datetime import tzinfo
from zoneinfo import ZoneInfo

from monitor.clock import Clock
from monitor.commands import CommandFailed, option
from monitor.commands.incidents import describe, incident_state, number
from monitor.commands.listing import add_json, print_json
from monitor.incidents.timeline import build_timeline
from monitor.model import Facts, parse_mac, parse_time
from monitor.outbox.wording import long, plain
from monitor.settings import Settings
from monitor.state import ledger
from monitor.state.database import open_state, reading
from monitor.web.api.shapes import ledger_shape

_MOST = 200


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand to the parser."""
    shown = command("ledger", _ledger)
    which = shown.add_mutually_exclusive_group()
    which.add_argument("--incident", type=number, metavar="ID", help="number of the incident")
    which.add_argument("--sensor", type=option(parse_mac), metavar="MAC", help="MAC address")
    shown.add_argument(
        "--since",
        type=option(parse_time),
        metavar="TIME",
        help="incidents that were open at this time or later, such as 2026-11-23T03:42:00Z",
    )
    add_json(shown, "incident")


def _ledger(given: Settings, options: argparse.Namespace) -> None:
    with reading(open_state(given.state_url)) as connection:
        if options.incident is None:
            found = ledger.cases(connection, _MOST, mac=options.sensor, since=options.since)
        else:
            case = ledger.find(connection, options.incident)
            if case is None:
                raise CommandFailed(f"there is no incident {options.incident}")
            found = [case]
        facts = ledger.facts(connection, found)
    now, zone = Clock().now(), ZoneInfo(given.alerts.time_zone)
    for fact in reversed(facts):  # the newest at the end, next to the prompt
        if options.json:
            print_json([ledger_shape(fact, now)])
        else:
            _show(fact, now, zone)


def _show(facts: Facts, now: int, zone: tzinfo) -> None:
    print(f"{facts.case.id}  {describe(facts.case)}: {incident_state(facts.case, zone)}")
    entries = build_timeline(facts, now, lambda moment: long(moment, zone))
    names = [" ".join(filter(None, (entry.channel, entry.recipient))) for entry in entries]
    width = max(map(len, names))
    for entry, name in zip(entries, names, strict=True):
        channel, text = plain(name).ljust(width), plain(entry.text)
        if entry.event == "waiting" and entry.until is not None:
            text += f", until {long(entry.until, zone)}"
        print(f"    {long(entry.at, zone)}  {channel}  {text}")
    print()
