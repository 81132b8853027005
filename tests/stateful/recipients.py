"""Those who are told: channels that keep what they got, and do as they are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from monitor.channels.interface import Message, SendFailed
from monitor.model import parse_time
from tests.stateful.rows import Name


class Mood(StrEnum):
    """What a channel does with a message."""

    ACCEPT = "accepts"
    FAIL = "fails"
    REJECT = "rejects for good"
    LIE = "accepts and reports a failure"
    DIE = "kills its process before it accepts"
    DIE_LATE = "accepts and kills its process"


_ACCEPTING = (Mood.ACCEPT, Mood.LIE, Mood.DIE_LATE)
_DEADLY = (Mood.DIE, Mood.DIE_LATE)


@dataclass(frozen=True)
class Arrival:
    """A message that reached its recipient."""

    began: int
    """The number of this sending among all; it may be older than others that arrived before."""
    at: int
    channel: str
    key: str
    kind: str
    data: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self!r} {self.data['subject']!r} {self.data['members']}"

    @property
    def members(self) -> list[Name]:
        """The incidents it tells of."""
        return names(self.data)

    @property
    def frozen_at(self) -> int:
        """When its text was made."""
        return parse_time(self.data["time"])


def names(data: Mapping[str, Any]) -> list[Name]:
    """The incidents that a message tells of."""
    return [(member["mac"], member["opened_at"]) for member in data["members"]]


@dataclass
class Recipient:
    """One channel."""

    name: str
    world: Any = field(repr=False)
    """Has `now`, `numbers`, `told`, `arrived(arrival)` and `kill_notifier()`."""
    mood: Mood = Mood.ACCEPT
    ever_failed: bool = False
    rejected: set[tuple[Name, str]] = field(default_factory=set)
    """(incident, kind of message) of what it refused for good."""
    interlude: Callable[[], Mood | None] | None = field(default=None, repr=False)
    """Called once, while a message is being sent; says what then becomes of it."""

    def send(self, message: Message) -> None:
        """As every channel."""
        began, held_up = next(self.world.numbers), self.interlude
        self.interlude = None
        mood = (held_up() if held_up else None) or self.mood
        if mood in _ACCEPTING:
            self.world.arrived(
                Arrival(began, self.world.now, self.name, message.key, message.kind, message.data)
            )
        if mood is Mood.ACCEPT:
            if not held_up:
                # Nothing hindered the notifier from writing this down.
                self.world.told.accepted(self.name, message.key, next(self.world.numbers))
        elif mood in _DEADLY:
            self.mood = Mood.ACCEPT
            self.world.kill_notifier()
        else:
            self.ever_failed = True
            if mood is Mood.REJECT:
                self.rejected.update((name, message.kind) for name in names(message.data))
            raise SendFailed(f"it {mood}", permanent=mood is Mood.REJECT)
