"""Channels: adds, changes, removes and tests them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from monitor.channels.interface import Channel, SendFailed
from monitor.clock import Clock
from monitor.errors import Conflict, Invalid, NotFound
from monitor.outbox import delivery
from monitor.outbox.catalogue import check_new, described, make_channel, patched, save
from monitor.outbox.catalogue import remove as remove_channel
from monitor.outbox.message import Frame
from monitor.state import audit, channels
from monitor.state.channels import Stored
from monitor.state.database import reading, writing
from monitor.vault import Vault


@dataclass(frozen=True)
class ChannelService:
    """The changes that users make to channels."""

    engine: Engine
    vault: Vault
    clock: Clock
    of_settings: Mapping[str, Channel]
    """Channels in the settings, by name."""
    frame: Frame
    """The frame of test messages."""
    allow_internal: bool
    """Whether test messages can go to addresses that are not public."""

    def found(self, connection: Connection, name: str, to_change: bool = False) -> Stored:
        """Returns a channel in the state. Raises NotFound; Conflict if it is in the settings."""
        stored = channels.find(connection, self.vault, name, to_change)
        if stored is None:
            if name in self.of_settings:
                raise Conflict(f"{name} is configured in the settings; change it there")
            raise NotFound(f"there is no channel {name!r}")
        return stored

    def add(self, actor: str, new: Stored) -> None:
        """Adds a channel. Raises Invalid, Conflict."""
        with writing(self.engine) as connection:
            check_new(new)
            channels.add(connection, self.vault, new)
            audit.record(connection, actor, "channel created", new.name, described(new))

    def change(
        self,
        actor: str,
        name: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Any],
        **values: Any,
    ) -> Stored:
        """Changes a channel as `catalogue.patched` does, and returns it.

        Raises Invalid, NotFound, Conflict.
        """
        with writing(self.engine) as connection:
            old = self.found(connection, name, to_change=True)
            new = patched(old, settings, secrets, **values)
            save(connection, self.vault, old, new, self.clock.now())
            detail = audit.differences(described(old), described(new))
            if secrets:
                detail["secrets"] = sorted(secrets)
            audit.record(connection, actor, "channel changed", name, detail)
        return new

    def remove(self, actor: str, name: str) -> None:
        """Removes a channel. Raises NotFound; Conflict if routes use it."""
        with writing(self.engine) as connection:
            self.found(connection, name, to_change=True)
            remove_channel(connection, name, self.clock.now())
            audit.record(connection, actor, "channel removed", name)

    def test(self, name: str) -> str | None:
        """Sends a test message. Returns why it failed, or None. Raises NotFound."""
        try:
            delivery.send_test(self._opened(name), self.clock.now(), self.frame)
        except Invalid as error:
            return f"{error.field}: {error}"
        except SendFailed as failure:
            return failure.detail
        return None

    def _opened(self, name: str) -> Channel:
        if name in self.of_settings:
            return self.of_settings[name]
        with reading(self.engine) as connection:
            stored = self.found(connection, name)
        if stored.broken is not None:
            raise SendFailed(stored.broken, permanent=True)
        return make_channel(stored, self.allow_internal)
