"""The channels kept in the state: what may be set of them, what is shown, and how they are made."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import Connection

from monitor.channels import kinds
from monitor.channels.interface import Channel
from monitor.channels.kinds import Kind
from monitor.errors import Conflict, Invalid
from monitor.outbox import notifications
from monitor.outbox.served_channels import DISABLED
from monitor.state import channels, health, horizon, routes
from monitor.state.channels import BROWSER, Stored, check_name, is_browser
from monitor.vault import Vault

RESERVED = frozenset({"browsers", "email", "webhook"})
"""Names with a meaning of their own: all browsers, and the channels of the settings."""

SMS_BUDGET = 50
"""Messages in 24 hours where each costs money, unless a budget is set."""

_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


class Field(NamedTuple):
    """One setting or secret of a kind, for whoever makes a form of them."""

    name: str
    required: bool
    default: str
    """As a person types it."""
    choices: tuple[str, ...] = ()
    several: bool = False
    """Separated by commas."""


def fields(kind: str) -> tuple[list[Field], list[Field]]:
    """(settings, secrets) of a kind there is."""
    shapes = kinds.KINDS[kind].settings, kinds.KINDS[kind].secrets
    settings, secrets = ([_field(each) for each in msgspec.structs.fields(one)] for one in shapes)
    return settings, secrets


def as_typed(value: Any) -> str:
    """A setting as a person types it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _field(described: msgspec.structs.FieldInfo) -> Field:
    hint = described.type
    return Field(
        described.name,
        described.required,
        "" if described.default is msgspec.NODEFAULT else as_typed(described.default),
        get_args(hint) if get_origin(hint) is Literal else (),
        get_origin(hint) in (list, tuple),
    )


def default_budget(kind: str) -> int | None:
    """The most messages in 24 hours unless it is set; None: any number."""
    return SMS_BUDGET if kind in kinds.KINDS and kinds.KINDS[kind].metered else None


def check_new(channel: Stored) -> None:
    """Whether a person may add it. Raises Invalid."""
    try:
        check_name(channel.name)
    except ValueError as error:
        raise Invalid("name", str(error)) from error
    if channel.name in RESERVED or is_browser(channel.name):
        raise Invalid("name", f"{channel.name!r} is reserved; choose another name")
    if channel.kind == BROWSER:
        raise Invalid("kind", "browsers subscribe by themselves")
    make_channel(channel, allow_internal=True)


def patched(
    channel: Stored, settings: Mapping[str, Any], secrets: Mapping[str, Any], **values: Any
) -> Stored:
    """With these settings and secrets on top; one that is None is taken away. Raises Invalid.

    `values`: `enabled`, `is_default`, `budget`.
    """
    if channel.kind == BROWSER and (settings or secrets):
        raise Invalid("settings" if settings else "secrets", "the browser must subscribe again")
    merged = replace(
        channel,
        settings=_merged(channel.settings, settings),
        secrets=_merged(channel.secrets, secrets),
        # Those that can't be read are replaced by those given, or stay as they are.
        broken=None if secrets else channel.broken,
        **values,
    )
    if merged.broken is None and (settings or secrets):
        make_channel(merged, allow_internal=True)
    return merged


def save(connection: Connection, vault: Vault, old: Stored, new: Stored, now: int) -> None:
    """Replace a channel; one that is switched off by this is owed nothing any more."""
    channels.save(connection, vault, new)
    if old.enabled and not new.enabled:
        health.switched_off(connection, new.name)
        notifications.cancel_for_channel(connection, new.name, DISABLED, now)


def remove(connection: Connection, name: str, now: int) -> bool:
    """Remove a channel and take back what it is owed; False when there is none of this name.

    Raises Conflict.
    """
    horizon.lock(connection)  # no route may come to lead to it meanwhile
    if leading := routes.leading_to(connection, name):
        raise Conflict(f"these routes use {name}: {', '.join(leading)}")
    removed = channels.remove(connection, name)
    if removed:
        notifications.cancel_for_channel(connection, name, "the channel was removed", now)
    return removed


def shown_secrets(channel: Stored) -> dict[str, Literal["set", "not set"]]:
    """Which of the kind's secrets it has."""
    kind = kinds.KINDS.get(channel.kind)
    names = channel.secrets if kind is None else kind.secrets.__struct_fields__
    return {name: "set" if channel.secrets.get(name) else "not set" for name in names}


def described(channel: Stored) -> dict[str, Any]:
    """For the audit trail: all but its secrets, of which it names those that are set."""
    return {
        "kind": channel.kind,
        **channel.settings,
        "secrets": sorted(channel.secrets),
        "enabled": channel.enabled,
        "default": channel.is_default,
        "budget": channel.budget,
    }


def from_texts(kind: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Settings as a person types them: lists separated by commas, nothing to take one away.

    Raises Invalid.
    """
    hints = get_type_hints(kinds.KINDS[kind].settings) if kind in kinds.KINDS else {}
    return {name: _from_text(name, text, hints.get(name, str)) for name, text in texts.items()}


def make_channel(channel: Stored, allow_internal: bool) -> Channel:
    """The channel itself. Raises Invalid."""
    kind = _kind(channel)
    settings = _converted("settings", channel.settings, kind.settings)
    secrets = _converted("secrets", channel.secrets, kind.secrets)
    try:
        return kind.make(channel.name, settings, secrets, allow_internal)
    except ValueError as error:
        named, _, detail = str(error).partition(": ")
        if detail and named in kind.settings.__struct_fields__:
            raise Invalid(f"settings.{named}", detail) from error
        raise Invalid("settings", str(error)) from error


def _kind(channel: Stored) -> Kind:
    kind = kinds.KINDS.get(channel.kind)
    if kind is None:
        raise Invalid("kind", f"must be one of {', '.join(sorted(kinds.KINDS))}")
    return kind


def _merged(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **given}.items() if value is not None}


def _from_text(name: str, text: str, hint: Any) -> Any:
    if not text:
        return None
    several = get_origin(hint) in (list, tuple)
    given = [part.strip() for part in text.split(",") if part.strip()] if several else text
    try:
        return msgspec.to_builtins(msgspec.convert(given, hint, strict=False))
    except msgspec.ValidationError as error:
        raise Invalid(f"settings.{name}", str(error)) from error


def _converted(where: str, given: Mapping[str, Any], shape: type[Any]) -> Any:
    try:
        return msgspec.convert(dict(given), shape)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        named = _NAMED.fullmatch(what)
        field = where + path.rstrip("`") + (f".{named['name']}" if named else "")
        raise Invalid(field, what) from error
