"""`monitor channel`: channels in the state; `monitor send`: a test message."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from monitor import program
from monitor.bootstrap.alerting import frame
from monitor.bootstrap.channels import own_channels
from monitor.bootstrap.vaults import open_vault
from monitor.channels import kinds
from monitor.clock import Clock
from monitor.commands import CommandFailed, add_action
from monitor.commands.listing import add_json, print_json, print_table
from monitor.errors import NotFound
from monitor.outbox import catalogue
from monitor.outbox.wording import long, plain
from monitor.services.channels import ChannelService
from monitor.settings import Settings
from monitor.state import channels
from monitor.state.channels import Health, Stored
from monitor.state.database import open_state, reading
from monitor.state.users import COMMAND_LINE
from monitor.web.api.channels import shape, shape_of_settings


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands to the parser."""
    channel = command("channel", _list)
    actions = channel.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Callable[..., None], summary: str) -> argparse.ArgumentParser:
        added = add_action(actions, name, summary)
        added.set_defaults(run=run)
        return added

    new = action("add", _add, "add a channel")
    new.add_argument("name", help="name of the new channel")
    new.add_argument("kind", help=f"one of {', '.join(sorted(kinds.KINDS))}")
    _values(new)
    changed = action("set", _set, "change a channel; what you leave out does not change")
    changed.add_argument("name", help="name of the channel")
    _values(changed)
    changed.add_argument(
        "--enabled", choices=("yes", "no"), help="no: the channel sends nothing until you set yes"
    )
    listed = action("list", _list, "list all channels, and whether their last message was sent")
    add_json(listed, "channel")
    for name, run, summary in (
        ("show", _show, "show the settings of a channel, and which secrets are set"),
        ("remove", _remove, "remove a channel, and cancel its pending messages"),
        ("test", _test, "send a test message through a channel"),
    ):
        action(name, run, summary).add_argument("name", help="name of the channel")
    sent = command("send", _test)
    sent.add_argument("name", metavar="CHANNEL", help="name of the channel")


def _values(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="*",
        type=_setting,
        metavar="KEY=VALUE",
        help="setting of this kind of channel; separate list items with commas; KEY= removes it",
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="KEY",
        help="secret to set: the command asks for it, or reads it as a line from standard input; "
        "an empty line removes it",
    )
    parser.add_argument(
        "--default",
        choices=("yes", "no"),
        help="yes: the channel receives every alert that no route matches",
    )
    parser.add_argument(
        "--budget",
        type=_budget,
        metavar="N",
        help="maximum number of messages in 24 hours; 0: no limit",
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
    settings = catalogue.from_texts(options.kind, dict(options.settings))
    _service(given).add(
        COMMAND_LINE,
        Stored(
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
        ),
    )
    test = f"{program.command()} channel test {options.name}"
    print(f"{options.name} created; `{test}` sends a test message")


def _set(given: Settings, options: argparse.Namespace) -> None:
    service, secrets = _service(given), _secrets(options)
    values: dict[str, Any] = {}
    if options.default is not None:
        values["is_default"] = options.default == "yes"
    if options.enabled is not None:
        values["enabled"] = options.enabled == "yes"
    if options.budget is not None:
        values["budget"] = options.budget or None
    with reading(service.engine) as connection:
        kind = service.found(connection, options.name).kind
    settings = catalogue.from_texts(kind, dict(options.settings))
    service.change(COMMAND_LINE, options.name, settings, secrets, **values)
    print(f"{options.name} changed")


def _list(given: Settings, options: argparse.Namespace) -> None:
    zone = ZoneInfo(given.alerts.time_zone)
    with reading(open_state(given.state_url)) as connection:
        health = channels.health(connection)
        stored = channels.load(connection, open_vault(given))
    own = [channel.name for channel in own_channels(given)]
    if options.json:
        print_json(shape_of_settings(name, health.get(name)) for name in own)
        print_json(shape(each, health.get(each.name)) for each in stored)
        return
    rows = [(name, "from the settings", "default", _lately(health.get(name), zone)) for name in own]
    for each in stored:
        use = "default" if each.is_default else "used by routes"
        lately = each.broken or _lately(health.get(each.name), zone)
        rows.append((each.name, each.kind, use if each.enabled else "switched off", lately))
    print_table(("name", "kind", "use", "lately"), rows)


def _show(given: Settings, options: argparse.Namespace) -> None:
    service = _service(given)
    with reading(service.engine) as connection:
        health = channels.health(connection).get(options.name)
        stored = service.found(connection, options.name)
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
    _service(given).remove(COMMAND_LINE, options.name)
    print(f"{options.name} is removed")


def _test(given: Settings, options: argparse.Namespace) -> None:
    try:
        error = _service(given).test(options.name)
    except NotFound as missing:
        raise CommandFailed(f"{missing}; `monitor channel list` shows all channels") from missing
    if error is not None:
        raise CommandFailed(error)
    print(f"sent through {options.name}")


def _service(given: Settings) -> ChannelService:
    return ChannelService(
        open_state(given.state_url),
        open_vault(given),
        Clock(),
        {channel.name: channel for channel in own_channels(given)},
        frame(given),
        given.alerts.allow_internal,
    )


def _secrets(options: argparse.Namespace) -> dict[str, str | None]:
    """The secrets that the user enters; None: left empty.

    They are not arguments, because other users can read the arguments of a process.
    """
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
