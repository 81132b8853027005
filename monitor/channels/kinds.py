"""The kinds of channels there are."""

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
    """How channels of one kind are made."""

    settings: type[Any]
    """A msgspec Struct: what may be shown."""
    secrets: type[Any]
    """Another: what is encrypted, and never shown again."""
    make: Callable[[str, Any, Any, bool], Channel]
    """(name, settings, secrets, whether it may lead to internal addresses). Raises ValueError,
    which names the setting and no secret."""
    metered: bool = False
    """Each message costs money."""
    lasting: Mapping[str, int] | None = None
    """The receiver forgets what is not sent again: `down` until the incident is closed, other
    kinds for as long (ms) as it is given here."""


def _kind(module: Any, **traits: Any) -> Kind:
    return Kind(module.Settings, module.Secrets, module.make, **traits)


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
