"""All kinds of channels."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from monitor.channels import (
    alertmanager,
    discord,
    email,
    ntfy,
    pagerduty,
    ses,
    slack,
    sns,
    teams,
    telegram,
    twilio,
    webhook,
    webpush,
)
from monitor.channels.alerts import LASTING
from monitor.channels.interface import Channel


class Kind(NamedTuple):
    """How to create channels of one kind."""

    settings: type[Any]
    """A msgspec Struct: the settings that may be shown."""
    secrets: type[Any]
    """A msgspec Struct: the settings that are stored encrypted and never shown."""
    make: Callable[[str, Any, Any, bool], Channel]
    """(name, settings, secrets, whether internal addresses are allowed) -> channel. Raises
    ValueError, which names the setting but contains no secret."""
    metered: bool = False
    """Each message costs money."""
    lasting: Mapping[str, int] | None = None
    """Set if the receiver forgets messages that are not sent again. Then `down` is sent again until
    the incident is closed, and other kinds of messages for the time given here (ms)."""


def _kind(module: Any, **options: Any) -> Kind:
    return Kind(module.Settings, module.Secrets, module.make, **options)


KINDS: Mapping[str, Kind] = {
    "alertmanager": _kind(alertmanager, lasting=LASTING),
    "discord": _kind(discord),
    "email": _kind(email),
    "ntfy": _kind(ntfy),
    "pagerduty": _kind(pagerduty),
    "ses": _kind(ses),
    "slack": _kind(slack),
    "sns": _kind(sns, metered=True),
    "teams": _kind(teams),
    "telegram": _kind(telegram),
    "twilio": _kind(twilio, metered=True),
    "webhook": _kind(webhook),
    "webpush": _kind(webpush),
}
