"""Channels that were added by command or API: rows of `channel`, with encrypted secrets."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from monitor.errors import Conflict
from monitor.state import horizon
from monitor.state.tables import channel, channel_health
from monitor.vault import Unreadable, Vault

BROWSER = "webpush"
"""The kind of a channel for one subscribed browser."""

BROWSER_PREFIX = "browser-"
"""The prefix of the names of these channels, and of no others."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)


@dataclass(frozen=True)
class Stored:
    """One channel, with its secrets decrypted: don't show them."""

    name: str
    kind: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, Any] = field(repr=False)
    enabled: bool = True
    is_default: bool = False
    """Receives the alerts that no route matches."""
    budget: int | None = None
    """The maximum number of messages in 24 hours; None for no limit."""
    created_at: int = 0
    broken: str | None = None
    """Why its secrets can't be read: `secrets` is empty, and the channel can't be used."""


class Health(NamedTuple):
    """The results of recent messages; times in ms."""

    sent_at: int | None
    failing_since: int | None
    error: str | None
    error_at: int | None


def is_browser(name: str) -> bool:
    """Whether a channel with this name is a subscribed browser."""
    return name.startswith(BROWSER_PREFIX)


def check_name(name: str) -> None:
    """Raises ValueError if a channel or route can't have this name."""
    if not _NAME.fullmatch(name):
        raise ValueError("must be at most 80 letters, digits, dots, hyphens and underscores")


def load(connection: Connection, vault: Vault) -> list[Stored]:
    """All channels, also broken ones, in the order they were added."""
    rows = connection.execute(select(channel).order_by(channel.c.id))
    return [_stored(row, vault) for row in rows]


def find(connection: Connection, vault: Vault, name: str, to_change: bool = False) -> Stored | None:
    """The channel with this name. `to_change`: locks it until the transaction ends."""
    query = select(channel).where(channel.c.name == name)
    row = connection.execute(query.with_for_update() if to_change else query).first()
    return None if row is None else _stored(row, vault)


def lock(connection: Connection, name: str) -> None:
    """Locks this channel and its budget until the transaction ends."""
    connection.execute(select(channel.c.id).where(channel.c.name == name).with_for_update())


def add(connection: Connection, vault: Vault, new: Stored) -> None:
    """Raises Conflict for an existing name; then the transaction must be rolled back."""
    values = _values(new) | {"secrets": _encrypted(new, vault), "created_at": new.created_at}
    try:
        connection.execute(insert(channel).values(name=new.name, **values))
    except IntegrityError as error:
        raise Conflict(f"there is already a channel named {new.name!r}", "name") from error


def save(connection: Connection, vault: Vault, changed: Stored) -> None:
    """Replaces the channel with that name. Secrets that can't be read do not change."""
    values = _values(changed)
    if changed.broken is None:
        values["secrets"] = _encrypted(changed, vault)
    connection.execute(update(channel).where(channel.c.name == changed.name).values(**values))


def remove(connection: Connection, name: str) -> bool:
    """Deletes a channel; False if there is none with this name."""
    removed = connection.execute(delete(channel).where(channel.c.name == name)).rowcount == 1
    if removed:
        connection.execute(delete(channel_health).where(channel_health.c.name == name))
    return removed


def remove_gone(connection: Connection, name: str) -> bool:
    """Deletes a browser whose subscription has ended. Keeps channels of other kinds."""
    kind = connection.execute(select(channel.c.kind).where(channel.c.name == name)).scalar()
    return kind == BROWSER and remove(connection, name)


def subscribers(connection: Connection) -> Counter[str]:
    """User -> number of their subscribed browsers. No other browser can be subscribed until the
    transaction ends."""
    horizon.lock(connection)
    found = connection.execute(select(channel.c.settings).where(channel.c.kind == BROWSER))
    return Counter(settings.get("subscribed_by", "") for settings in found.scalars())


def names(connection: Connection) -> set[str]:
    """The names of all channels, also disabled ones."""
    return set(connection.execute(select(channel.c.name)).scalars())


def added(connection: Connection) -> dict[str, bool]:
    """Name -> whether it is enabled, without browsers, in the order they were added."""
    query = select(channel.c.name, channel.c.enabled).where(channel.c.kind != BROWSER)
    return {row.name: row.enabled for row in connection.execute(query.order_by(channel.c.id))}


def health(connection: Connection) -> dict[str, Health]:
    """Channel -> health, with those of the settings, without those never used."""
    columns = (getattr(channel_health.c, name) for name in Health._fields)
    used = or_(channel_health.c.sent_at.is_not(None), channel_health.c.error_at.is_not(None))
    rows = connection.execute(
        select(channel_health.c.name, channel_health.c.recipient, *columns).where(used)
    )
    found = {}
    # Of several recipients: the one that fails, or else the one that last received a message.
    for name, recipient, *values in sorted(rows, key=lambda row: (row[3] is not None, row[2] or 0)):
        each = Health(*values)
        if recipient and each.failing_since is not None:
            each = each._replace(error=f"{recipient}: {each.error}")
        found[name] = each
    return found


def _stored(row: Any, vault: Vault) -> Stored:
    secrets, broken = {}, None
    if row.secrets is not None:
        try:
            secrets = json.loads(vault.decrypt(bytes(row.secrets)))
        except Unreadable as error:
            broken = f"its secrets can't be read: {error}"
    return Stored(
        name=row.name,
        kind=row.kind,
        settings=row.settings,
        secrets=secrets,
        enabled=row.enabled,
        is_default=row.is_default,
        budget=row.budget,
        created_at=row.created_at,
        broken=broken,
    )


def _values(given: Stored) -> dict[str, Any]:
    return {
        "kind": given.kind,
        "settings": dict(given.settings),
        "enabled": given.enabled,
        "is_default": given.is_default,
        "budget": given.budget,
    }


def _encrypted(given: Stored, vault: Vault) -> bytes | None:
    return vault.encrypt(json.dumps(dict(given.secrets)).encode()) if given.secrets else None
