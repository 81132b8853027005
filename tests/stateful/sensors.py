"""Sensors, played by the test."""

from dataclasses import dataclass, field

from tests.stateful.doors import Door, Try


@dataclass(eq=False)
class Sensor:
    """It sends a heartbeat each `interval` ms while it lives, wherever it gets an answer."""

    mac: int
    site: str | None
    threshold: int
    interval: int
    doors: tuple[Door, ...] = field(repr=False)
    """In the order in which it tries them."""
    next_at: int
    alive: bool = True
    paused: bool = False
    tries: list[Try] = field(default_factory=list, repr=False)

    def revive(self, moment: int) -> None:
        """It sends its next heartbeat at `moment`, if it was silent."""
        if not self.alive:
            self.alive, self.next_at = True, moment

    def beat_until(self, now: int) -> list[tuple[int, "Sensor"]]:
        """(moment, itself) of each heartbeat that is due."""
        due = []
        while self.alive and self.next_at <= now:
            due.append((self.next_at, self))
            self.next_at += self.interval
        return due

    def send(self, moment: int, now: int, live: bool = True) -> None:
        """One heartbeat of this moment, to the first door that takes it."""
        tried = []
        for door in self.doors:
            tried.append(door)
            if door.listens:
                break
        attempt = Try(self.mac, moment, live, tuple(tried))
        self.tries.append(attempt)
        if tried[-1].listens:
            tried[-1].take(attempt, now)

    @property
    def heard_at(self) -> int:
        """The newest moment for which the store can prove it alive; 0 for none."""
        return max((each.time for each in self.tries if each.stored_at), default=0)

    def known_live(self, at: int) -> bool:
        """It spoke itself at least once, and the store knew at this moment."""
        return any(each.live and (each.stored_at or at + 1) <= at for each in self.tries)
