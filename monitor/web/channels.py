"""Channels as administrators keep them, by the API and by pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import g
from sqlalchemy import Connection, Engine

from monitor.channels.interface import Channel, SendFailed
from monitor.clock import Clock
from monitor.outbox import delivery
from monitor.outbox.catalogue import Misfit, check_new, described, made, patched, save
from monitor.outbox.catalogue import remove as remove_channel
from monitor.outbox.message import Frame
from monitor.state import audit, channels
from monitor.state.channels import Stored
from monitor.state.database import reading
from monitor.vault import Vault
from monitor.web.errors import RequestRefused


@dataclass(frozen=True)
class ChannelService:
    """What is done to channels, each time with its line in the audit trail."""

    engine: Engine
    vault: Vault
    clock: Clock
    of_settings: Mapping[str, Channel]
    """By name, those that the settings switch on."""
    frame: Frame
    """For the test message."""
    allow_internal: bool
    """Whether a test may go to addresses that are not public."""

    def found(self, connection: Connection, name: str, to_change: bool = False) -> Stored:
        """One that is kept in the state. Raises RequestRefused."""
        stored = channels.find(connection, self.vault, name, to_change)
        if stored is None:
            if name in self.of_settings:
                raise RequestRefused(409, f"{name} comes from the settings; change it there")
            raise RequestRefused(404, f"there is no channel {name!r}")
        return stored

    def add(self, connection: Connection, new: Stored) -> None:
        """Raises Misfit, NameTaken."""
        check_new(new)
        channels.add(connection, self.vault, new)
        audit.record(connection, g.principal, "channel added", new.name, described(new))

    def change(
        self,
        connection: Connection,
        name: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Any],
        **values: Any,
    ) -> Stored:
        """As `catalogue.patched`; what became of it. Raises Misfit, RequestRefused."""
        old = self.found(connection, name, to_change=True)
        new = patched(old, settings, secrets, **values)
        save(connection, self.vault, old, new, self.clock.now())
        detail = audit.differences(described(old), described(new))
        if secrets:
            detail["secrets"] = sorted(secrets)
        audit.record(connection, g.principal, "channel changed", name, detail)
        return new

    def remove(self, connection: Connection, name: str) -> None:
        """Raises InUse, RequestRefused."""
        self.found(connection, name, to_change=True)
        remove_channel(connection, name, self.clock.now())
        audit.record(connection, g.principal, "channel removed", name)

    def test(self, name: str) -> str | None:
        """Send a test message; why it did not arrive, or None. Raises RequestRefused."""
        try:
            delivery.send_test(self._opened(name), self.clock.now(), self.frame)
        except Misfit as error:
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
        return made(stored, self.allow_internal)
