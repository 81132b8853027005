"""The channels in force: those of the settings, and those kept in the state."""

from collections.abc import Collection, Sequence

from sqlalchemy import Engine

from monitor.channels.interface import TRACKS_SENSORS, Channel, Message, SendFailed
from monitor.channels.kinds import KINDS
from monitor.errors import Invalid
from monitor.outbox.catalogue import made
from monitor.outbox.channel_workers import Served
from monitor.state import channels
from monitor.state.channels import Stored
from monitor.state.database import reading
from monitor.vault import Vault


class StoredChannels:
    """A `Supply` that reads the state again at each call. Raises StateUnavailable."""

    def __init__(
        self,
        engine: Engine,
        vault: Vault,
        of_settings: Sequence[Channel],
        allow_internal: bool,
    ) -> None:
        """`of_settings`: those that the settings switch on; `allow_internal`: whether the others
        may lead to addresses that are not public."""
        self._engine, self._vault, self._allow_internal = engine, vault, allow_internal
        self._of_settings = [Served(channel) for channel in of_settings]
        self._made: dict[str, tuple[Stored, Served]] = {}

    def __call__(self) -> Collection[Served]:
        """Those switched on; one that can't be used fails at each message, for others to tell."""
        with reading(self._engine) as connection:
            stored = [each for each in channels.load(connection, self._vault) if each.enabled]
        self._made = {each.name: (each, self._served(each)) for each in stored}
        return [*self._of_settings, *(served for _, served in self._made.values())]

    def _served(self, stored: Stored) -> Served:
        before = self._made.get(stored.name)
        if before is not None and before[0] == stored:
            return before[1]
        kind = KINDS.get(stored.kind)
        channel = self._open(stored)
        if kind is None:
            return Served(channel, budget=stored.budget)
        return Served(channel, stored.kind in TRACKS_SENSORS, stored.budget, kind.lasting)

    def _open(self, stored: Stored) -> Channel:
        if stored.broken is not None:
            return _Broken(stored.name, stored.broken)
        try:
            return made(stored, self._allow_internal)
        except Invalid as error:
            return _Broken(stored.name, f"{error.field}: {error}")


class _Broken:
    """A channel whose messages wait until a person has mended it."""

    def __init__(self, name: str, problem: str) -> None:
        self.name, self._problem = name, problem

    def send(self, _message: Message) -> None:
        """Raises SendFailed."""
        raise SendFailed(self._problem, permanent=False)
