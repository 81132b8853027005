"""Channels that record messages and fail as the test chooses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from monitor.channels.interface import Message, SendFailed
from monitor.model import parse_time
from tests.stateful.rows import Name


class Behaviour(StrEnum):
    """What a channel does with a message."""

    ACCEPT = "accepts"
    FAIL = "fails"
    REJECT = "rejects permanently"
    ACCEPT_AND_FAIL = "accepts and reports a failure"
    KILL_BEFORE = "kills its process before it accepts"
    KILL_AFTER = "accepts and kills its process"


_ACCEPTING = (Behaviour.ACCEPT, Behaviour.ACCEPT_AND_FAIL, Behaviour.KILL_AFTER)
_KILLING = (Behaviour.KILL_BEFORE, Behaviour.KILL_AFTER)


@dataclass(frozen=True)
class Arrival:
    """A message that reached its recipient."""

    began: int
    """The sequence number of this send; arrivals need not be in this order."""
    at: int
    channel: str
    key: str
    kind: str
    data: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self!r} {self.data['subject']!r} {self.data['members']}"

    @property
    def members(self) -> list[Name]:
        """The incidents of the message."""
        return names(self.data)

    @property
    def frozen_at(self) -> int:
        """When the message was frozen."""
        return parse_time(self.data["time"])


def names(data: Mapping[str, Any]) -> list[Name]:
    """The incidents of a message."""
    return [(member["mac"], member["opened_at"]) for member in data["members"]]


@dataclass
class Recipient:
    """One channel."""

    name: str
    world: Any = field(repr=False)
    """Has `now`, `numbers`, `message_checks`, `arrived(arrival)` and `kill_notifier()`."""
    behaviour: Behaviour = Behaviour.ACCEPT
    ever_failed: bool = False
    rejected: set[tuple[Name, str]] = field(default_factory=set)
    """(incident, kind of message) of what it refused permanently."""
    callback: Callable[[], Behaviour | None] | None = field(default=None, repr=False)
    """Called once during the next send; returns the behaviour for it."""

    def send(self, message: Message) -> None:
        """Record the message, or fail, as `behaviour` defines."""
        began, callback = next(self.world.numbers), self.callback
        self.callback = None
        behaviour = (callback() if callback else None) or self.behaviour
        if behaviour in _ACCEPTING:
            self.world.arrived(
                Arrival(began, self.world.now, self.name, message.key, message.kind, message.data)
            )
        if behaviour is Behaviour.ACCEPT:
            if not callback:
                # The notifier can record this send.
                self.world.message_checks.accepted(self.name, message.key, next(self.world.numbers))
        elif behaviour in _KILLING:
            self.behaviour = Behaviour.ACCEPT
            self.world.kill_notifier()
        else:
            self.ever_failed = True
            if behaviour is Behaviour.REJECT:
                self.rejected.update((name, message.kind) for name in names(message.data))
            raise SendFailed(f"it {behaviour}", permanent=behaviour is Behaviour.REJECT)
