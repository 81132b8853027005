"""The active channels: those in the settings, and those in the state."""

from collections.abc import Collection, Sequence

from sqlalchemy import Engine

from monitor.channels.interface import TRACKS_SENSORS, Channel, Message, SendFailed
from monitor.channels.kinds import KINDS
from monitor.errors import Invalid
from monitor.outbox.catalogue import make_channel
from monitor.outbox.channel_workers import ActiveChannel
from monitor.state import channels
from monitor.state.channels import Stored
from monitor.state.database import reading
from monitor.vault import Vault


class StoredChannelSource:
    """A `ChannelSource` that reads the state at each call. Raises StateUnavailable."""

    def __init__(
        self,
        engine: Engine,
        vault: Vault,
        of_settings: Sequence[Channel],
        allow_internal: bool,
    ) -> None:
        """`of_settings`: the channels in the settings; `allow_internal`: whether channels in the
        state may use addresses that are not public."""
        self._engine, self._vault, self._allow_internal = engine, vault, allow_internal
        self._of_settings = [ActiveChannel(channel) for channel in of_settings]
        self._by_name: dict[str, tuple[Stored, ActiveChannel]] = {}

    def __call__(self) -> Collection[ActiveChannel]:
        """Returns the channels that are enabled. Each send on a channel that can't be used raises
        SendFailed, so that the failure is reported like any other."""
        with reading(self._engine) as connection:
            stored = [each for each in channels.load(connection, self._vault) if each.enabled]
        self._by_name = {each.name: (each, self._active(each)) for each in stored}
        return [*self._of_settings, *(active for _, active in self._by_name.values())]

    def _active(self, stored: Stored) -> ActiveChannel:
        before = self._by_name.get(stored.name)
        if before is not None and before[0] == stored:
            return before[1]
        kind = KINDS.get(stored.kind)
        channel = self._open(stored)
        if kind is None:
            return ActiveChannel(channel, budget=stored.budget)
        return ActiveChannel(channel, stored.kind in TRACKS_SENSORS, stored.budget, kind.lasting)

    def _open(self, stored: Stored) -> Channel:
        if stored.broken is not None:
            return _Broken(stored.name, stored.broken)
        try:
            return make_channel(stored, self._allow_internal)
        except Invalid as error:
            return _Broken(stored.name, f"{error.field}: {error}")


class _Broken:
    """A channel that can't be used. Its messages wait until an administrator repairs it."""

    def __init__(self, name: str, problem: str) -> None:
        self.name, self._problem = name, problem

    def send(self, _message: Message) -> None:
        """Raises SendFailed."""
        raise SendFailed(self._problem, permanent=False)
