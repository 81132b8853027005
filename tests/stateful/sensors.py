"""Simulated sensors."""

from dataclasses import dataclass, field

from tests.stateful.hosts import Attempt, IngestHost


@dataclass(eq=False)
class Sensor:
    """Sends a heartbeat every `interval` ms while alive, to the first host that accepts it."""

    mac: int
    site: str | None
    threshold: int
    interval: int
    hosts: tuple[IngestHost, ...] = field(repr=False)
    """In the order in which the sensor tries them."""
    next_at: int
    alive: bool = True
    paused: bool = False
    monitored_since: int = 0
    """When it was last resumed after a pause."""
    attempts: list[Attempt] = field(default_factory=list, repr=False)

    def resume(self, moment: int) -> None:
        """Send the next heartbeat at `moment`, if it was silent."""
        if not self.alive:
            self.alive, self.next_at = True, moment

    def beat_until(self, now: int) -> list[tuple[int, "Sensor"]]:
        """(time, sensor) of each heartbeat that is due."""
        due = []
        while self.alive and self.next_at <= now:
            due.append((self.next_at, self))
            self.next_at += self.interval
        return due

    def send(self, moment: int, now: int, live: bool = True) -> None:
        """Send one heartbeat with this time to the first host that accepts it."""
        tried = []
        for host in self.hosts:
            tried.append(host)
            if host.is_listening:
                break
        attempt = Attempt(self.mac, moment, live, tuple(tried))
        self.attempts.append(attempt)
        if tried[-1].is_listening:
            tried[-1].receive(attempt, now)

    @property
    def stored_until(self) -> int:
        """The time of its newest heartbeat in the store; 0 for none."""
        return max((each.time for each in self.attempts if each.stored_at), default=0)

    def has_live_heartbeat(self, at: int) -> bool:
        """Whether the store had a live heartbeat of it at this time."""
        return any(each.live and (each.stored_at or at + 1) <= at for each in self.attempts)
