"""Channels in the state: their settings, how settings are shown and changed, how they are made."""

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
"""Names that no channel in the state can have: `browsers` stands for all browsers, and the
settings file configures the others."""

SMS_BUDGET = 50
"""The default daily message limit of a channel whose messages cost money."""

_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


class Field(NamedTuple):
    """One setting or secret of a kind, as a form needs it."""

    name: str
    required: bool
    default: str
    """As text."""
    choices: tuple[str, ...] = ()
    several: bool = False
    """Whether the text is a list, separated by commas."""


def fields(kind: str) -> tuple[list[Field], list[Field]]:
    """Returns (settings, secrets) of a kind. Raises KeyError."""
    shapes = kinds.KINDS[kind].settings, kinds.KINDS[kind].secrets
    settings, secrets = ([_field(each) for each in msgspec.structs.fields(one)] for one in shapes)
    return settings, secrets


def as_typed(value: Any) -> str:
    """A setting as text, in the format that `from_texts` reads."""
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
    """The daily message limit of a kind if none is set. None: no limit."""
    return SMS_BUDGET if kind in kinds.KINDS and kinds.KINDS[kind].metered else None


def check_new(channel: Stored) -> None:
    """Raises Invalid unless users can add this channel."""
    try:
        check_name(channel.name)
    except ValueError as error:
        raise Invalid("name", str(error)) from error
    if channel.name in RESERVED or is_browser(channel.name):
        raise Invalid("name", f"must not be {channel.name!r}, which is reserved")
    if channel.kind == BROWSER:
        raise Invalid(
            "kind", "must not be webpush: a browser's channel is created when it subscribes"
        )
    make_channel(channel, allow_internal=True)


def patched(
    channel: Stored, settings: Mapping[str, Any], secrets: Mapping[str, Any], **values: Any
) -> Stored:
    """Returns the channel with these settings and secrets changed; None removes one.

    `values`: `enabled`, `is_default`, `budget`. Raises Invalid.
    """
    if channel.kind == BROWSER and (settings or secrets):
        raise Invalid(
            "settings" if settings else "secrets",
            "can't be changed; the browser must subscribe again",
        )
    merged = replace(
        channel,
        settings=_merged(channel.settings, settings),
        secrets=_merged(channel.secrets, secrets),
        # New secrets replace secrets that can't be decrypted.
        broken=None if secrets else channel.broken,
        **values,
    )
    if merged.broken is None and (settings or secrets):
        make_channel(merged, allow_internal=True)
    return merged


def save(connection: Connection, vault: Vault, old: Stored, new: Stored, now: int) -> None:
    """Saves a changed channel. If this disables it, cancels its messages."""
    channels.save(connection, vault, new)
    if old.enabled and not new.enabled:
        health.clear_failure(connection, new.name)
        notifications.cancel_for_channel(connection, new.name, DISABLED, now)


def remove(connection: Connection, name: str, now: int) -> bool:
    """Removes a channel and cancels its messages. False: there is no channel of this name.

    Raises Conflict if a route uses it.
    """
    horizon.lock(connection)  # so that no route to it is added meanwhile
    if leading := routes.leading_to(connection, name):
        raise Conflict(f"routes still use {name}: {', '.join(leading)}")
    removed = channels.remove(connection, name)
    if removed:
        notifications.cancel_for_channel(connection, name, "the channel was removed", now)
    return removed


def shown_secrets(channel: Stored) -> dict[str, Literal["set", "not set"]]:
    """For each secret of its kind, whether the channel has it."""
    kind = kinds.KINDS.get(channel.kind)
    names = channel.secrets if kind is None else kind.secrets.__struct_fields__
    return {name: "set" if channel.secrets.get(name) else "not set" for name in names}


def described(channel: Stored) -> dict[str, Any]:
    """The channel for the audit trail: of its secrets, only the names."""
    return {
        "kind": channel.kind,
        **channel.settings,
        "secrets": sorted(channel.secrets),
        "enabled": channel.enabled,
        "default": channel.is_default,
        "budget": channel.budget,
    }


def from_texts(kind: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Converts texts to settings. Lists are separated by commas; an empty text is None.

    Raises Invalid.
    """
    hints = get_type_hints(kinds.KINDS[kind].settings) if kind in kinds.KINDS else {}
    return {name: _from_text(name, text, hints.get(name, str)) for name, text in texts.items()}


def make_channel(channel: Stored, allow_internal: bool) -> Channel:
    """Creates the channel. Raises Invalid."""
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
