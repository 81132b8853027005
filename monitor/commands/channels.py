"""`monitor channel`: ways to reach recipients, besides those of the settings; `monitor send`."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from monitor.bootstrap.alerting import frame
from monitor.bootstrap.channels import own_channels
from monitor.bootstrap.stores import open_vault
from monitor.channels import kinds
from monitor.channels.interface import Channel, SendFailed
from monitor.clock import Clock
from monitor.commands import CommandFailed
from monitor.commands.incidents import plain
from monitor.outbox import catalogue, delivery
from monitor.outbox.wording import long
from monitor.settings import Settings
from monitor.state import audit, channels
from monitor.state.channels import Health, NameTaken, Stored
from monitor.state.database import open_state, reading, writing
from monitor.state.users import COMMAND_LINE


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands to the parser."""
    channel = command("channel", _list)
    actions = channel.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[..., None], summary: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    new = action("add", _add, "add one")
    new.add_argument("name")
    new.add_argument("kind", help=f"one of {', '.join(sorted(kinds.KINDS))}")
    _values(new)
    changed = action("set", _set, "change one; options that you leave out do not change")
    changed.add_argument("name")
    _values(changed)
    changed.add_argument("--enabled", choices=("yes", "no"))
    action("list", _list, "list all channels, and whether the last message was sent")
    for name, run, summary in (
        ("show", _show, "its settings, and which of its secrets are set"),
        ("remove", _remove, "remove one and cancel its pending messages"),
        ("test", _test, "send a test message through one"),
    ):
        action(name, run, summary).add_argument("name")
    sent = command("send", _test)
    sent.add_argument("name", metavar="CHANNEL", help="of `monitor channel list`")


def _values(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="*",
        type=_setting,
        metavar="KEY=VALUE",
        help="a setting of this kind; separate lists by commas; KEY= removes it",
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="KEY",
        help="ask for this secret, or read it as a line of standard input; empty removes it",
    )
    parser.add_argument(
        "--default",
        choices=("yes", "no"),
        help=("default: receives every alert that no route matches"),
    )
    parser.add_argument(
        "--budget", type=_budget, metavar="N", help="daily message limit; 0: no limit"
    )


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError("must be like KEY=VALUE")
    return key, value


def _budget(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _add(given: Settings, options: argparse.Namespace) -> None:
    secrets = {key: value for key, value in _secrets(options).items() if value is not None}
    with _told(), writing(open_state(given.state_url)) as connection:
        settings = catalogue.from_texts(options.kind, dict(options.settings))
        new = Stored(
            name=options.name,
            kind=options.kind,
            settings={key: value for key, value in settings.items() if value is not None},
            secrets=secrets,
            is_default=options.default == "yes",
            budget=(
                catalogue.default_budget(options.kind)
                if options.budget is None
                else options.budget or None
            ),
            created_at=Clock().now(),
        )
        catalogue.check_new(new)
        channels.add(connection, open_vault(given), new)
        audit.record(connection, COMMAND_LINE, "channel added", new.name, catalogue.described(new))
    print(f"{options.name} created; `monitor channel test {options.name}` sends a test message")


def _set(given: Settings, options: argparse.Namespace) -> None:
    vault, secrets = open_vault(given), _secrets(options)
    values: dict[str, Any] = {}
    if options.default is not None:
        values["is_default"] = options.default == "yes"
    if options.enabled is not None:
        values["enabled"] = options.enabled == "yes"
    if options.budget is not None:
        values["budget"] = options.budget or None
    with _told(), writing(open_state(given.state_url)) as connection:
        old = channels.find(connection, vault, options.name, to_change=True)
        if old is None:
            raise _unknown(options.name)
        settings = catalogue.from_texts(old.kind, dict(options.settings))
        new = catalogue.patched(old, settings, secrets, **values)
        catalogue.save(connection, vault, old, new, Clock().now())
        detail = audit.differences(catalogue.described(old), catalogue.described(new))
        if secrets:
            detail["secrets"] = sorted(secrets)
        audit.record(connection, COMMAND_LINE, "channel changed", new.name, detail)
    print(f"{options.name} changed")


def _list(given: Settings, _options: argparse.Namespace) -> None:
    zone = ZoneInfo(given.alerts.time_zone)
    with reading(open_state(given.state_url)) as connection:
        health = channels.health(connection)
        stored = channels.load(connection, open_vault(given))
    for channel in own_channels(given):
        name = channel.name
        print(f"{name}\tfrom the settings\tdefault\t{_lately(health.get(name), zone)}")
    for each in stored:
        use = "default" if each.is_default else "used by routes"
        print(
            f"{each.name}\t{each.kind}\t{use if each.enabled else 'switched off'}\t"
            + (each.broken or _lately(health.get(each.name), zone))
        )


def _show(given: Settings, options: argparse.Namespace) -> None:
    with reading(open_state(given.state_url)) as connection:
        health = channels.health(connection).get(options.name)
        stored = channels.find(connection, open_vault(given), options.name)
    if stored is None:
        raise _unknown(options.name)
    print(f"kind: {stored.kind}")
    for key, value in stored.settings.items():
        print(f"{key}: {plain(value if isinstance(value, str) else json.dumps(value))}")
    for key, state in catalogue.shown_secrets(stored).items():
        print(f"{key}: {state}")
    print(f"enabled: {'yes' if stored.enabled else 'no'}")
    print(f"default: {'yes' if stored.is_default else 'no'}")
    print(f"daily message limit: {stored.budget or 'no limit'}")
    if stored.broken:
        print(f"problem: {stored.broken}")
    print(f"lately: {_lately(health, ZoneInfo(given.alerts.time_zone))}")


def _remove(given: Settings, options: argparse.Namespace) -> None:
    with _told(), writing(open_state(given.state_url)) as connection:
        if not catalogue.remove(connection, options.name, Clock().now()):
            raise _unknown(options.name)
        audit.record(connection, COMMAND_LINE, "channel removed", options.name)
    print(f"{options.name} is removed")


def _test(given: Settings, options: argparse.Namespace) -> None:
    with _told():
        channel = _opened(given, options.name)
    try:
        delivery.send_test(channel, Clock().now(), frame(given))
    except SendFailed as failure:
        raise CommandFailed(failure.detail) from failure
    print(f"sent through {options.name}")


def _opened(given: Settings, name: str) -> Channel:
    """The channel of this name, of the settings or of the state."""
    of_settings = {channel.name: channel for channel in own_channels(given)}
    if name in of_settings:
        return of_settings[name]
    engine, vault = open_state(given.state_url), open_vault(given)
    with reading(engine) as connection:
        stored = channels.find(connection, vault, name)
    if stored is None:
        raise _unknown(name)
    if stored.broken is not None:
        raise CommandFailed(stored.broken)
    return catalogue.made(stored, given.alerts.allow_internal)


def _unknown(name: str) -> CommandFailed:
    return CommandFailed(f"there is no channel {name!r}; `monitor channel list` shows all channels")


def _secrets(options: argparse.Namespace) -> dict[str, str | None]:
    """Those asked for, None for one left empty. Never an argument: others can read those."""
    return {key: _secret(key) or None for key in options.secret}


def _secret(key: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{key}: ")
    return sys.stdin.readline().rstrip("\r\n")


def _lately(health: Health | None, zone: ZoneInfo) -> str:
    if health is None:
        return "never used"
    if health.failing_since is not None:
        return f"failing since {long(health.failing_since, zone)}: {plain(health.error or '')}"
    return f"sent {long(health.sent_at, zone)}" if health.sent_at else "never used"


@contextmanager
def _told() -> Iterator[None]:
    """What was wrong with what was given, as a sentence; goes around a transaction."""
    try:
        yield
    except catalogue.Misfit as error:
        raise CommandFailed(f"{error.field}: {error}") from error
    except (NameTaken, catalogue.InUse) as error:
        raise CommandFailed(str(error)) from error
