"""What recipients were told, against what they should have been."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.stateful import quiet
from tests.stateful.quiet import Quiet
from tests.stateful.recipients import Arrival, Recipient
from tests.stateful.rows import Incident, Name, Rows


@dataclass(frozen=True)
class Promises:
    """What the service was set to; ms."""

    patience: int
    """Within so long a message that nothing hinders arrives."""
    remind_after: int
    escalate_after: int
    flapping_window: Callable[[int], int]
    """Threshold -> how long a flapping sensor must be silent to be told of again."""


@dataclass
class Told:
    """The judge of messages; raises AssertionError."""

    rows: Rows
    recipients: Collection[Recipient]
    promises: Promises
    escalates: Callable[[int, str], bool]
    """(mac, channel) -> whether this channel is told only of what nobody acknowledges."""
    figures: Counter[str]
    quiet: list[Quiet] = field(default_factory=list)
    incidents: dict[Name, Incident] = field(default_factory=dict)
    _arrivals: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    _copied_at: dict[tuple[str, str], int] = field(default_factory=dict)
    _recorded: dict[tuple[str, str], int] = field(default_factory=dict)
    _told: dict[tuple[str, str], dict[Name, Arrival]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def read(self) -> None:
        """Look at the incidents as they are now."""
        self.incidents = {row.name: row for row in self.rows.incidents().values()}

    # --- What arrives ------------------------------------------------------------------------

    def arrived(self, arrival: Arrival) -> None:
        """One message reached a recipient."""
        self.figures[f"messages: {arrival.kind}"] += 1
        first = self._arrivals.setdefault((arrival.channel, arrival.key), arrival)
        assert first.data == arrival.data, f"{arrival.key} came with another content"
        self._copied_at[arrival.channel, arrival.key] = arrival.at
        if arrival.members:
            self._is_not_held(arrival)
        if arrival.kind == "reminder":
            over = self._told[arrival.channel, "recovered"].keys()
            assert not set(arrival.members) <= over, f"all of it was told to be over: {arrival}"
        if first is not arrival:
            recorded = self._recorded.get((arrival.channel, arrival.key))
            assert recorded is None or arrival.began < recorded, f"sent again: {arrival}"
            self.figures["repetitions under the same key"] += 1
            return
        for member in arrival.members:
            self._tell(arrival, self.incidents[member])

    def accepted(self, channel: str, key: str, number: int) -> None:
        """A recipient took a message and the notifier was left alone to record it."""
        self._recorded.setdefault((channel, key), number)

    def _is_not_held(self, arrival: Arrival) -> None:
        """Nothing is sent inside a silence; a text frozen before it began may be tried again if
        it tells of others, too."""
        rows = [self.incidents[member] for member in arrival.members]
        held = [quiet.covering(self.quiet, row, arrival.kind, arrival.at) for row in rows]
        assert not all(held), f"{arrival} in spite of {held}"
        for each in (each for some in held for each in some):
            assert each.came_after(arrival.frozen_at), f"{arrival} in spite of {each}"

    def _tell(self, arrival: Arrival, row: Incident) -> None:
        kind, channel = arrival.kind, arrival.channel
        told, down = self._told[channel, kind], self._told[channel, "down"]
        earlier = told.get(row.name)
        if kind == "reminder":
            assert row.name in down, f"{channel} is reminded of {row}, and was never told"
            since = arrival.frozen_at - earlier.frozen_at if earlier else None
            assert since is None or since >= self.promises.remind_after, f"{since}: {arrival}"
        else:
            excused = (row.name, kind) in self._rejected_by(channel)
            assert earlier is None or excused, f"{row} is told twice: {earlier}, {arrival}"
        if kind == "recovered":
            assert row.name in down, f"{channel} was never told that {row} began"
            assert row.closed_reason == "recovered", f"{channel} was told that {row} is over"
        if kind == "flapping":
            assert row.flapping_since == row.opened_at, f"{row} is not the beginning of flapping"
        if kind in ("down", "reminder"):
            assert not row.acknowledged_at or row.acknowledged_at >= arrival.frozen_at, arrival
            assert not row.closed_at or row.closed_at > arrival.frozen_at, arrival
        if kind != "recovered" and self.escalates(row.mac, channel):
            since = arrival.at - row.opened_at
            assert since >= self.promises.escalate_after, f"after {since} ms: {arrival}"
        told[row.name] = arrival

    def _rejected_by(self, channel: str) -> Collection[tuple[Name, str]]:
        """What a recipient refused for good, after it took it perhaps and could not say so."""
        return next(each.rejected for each in self.recipients if each.name == channel)

    # --- Who should know ---------------------------------------------------------------------

    def after_delivery(self, now: int, calm_since: int) -> None:
        """Whoever could be told by now is told. `calm_since`: no notifier was in trouble since."""
        if now - calm_since >= self.promises.patience:
            for recipient in self.recipients:
                if not recipient.ever_failed:
                    self._knows_all(recipient, now)

    def _knows_all(self, recipient: Recipient, now: int) -> None:
        for row in self.incidents.values():
            waits = self.escalates(row.mac, recipient.name)
            if row.flapping_since == row.opened_at and not waits:
                self._knows(recipient, row, "flapping", now, 0)
            if row.closed_at is None and row.acknowledged_at is None:
                delay = self.promises.escalate_after if waits else 0
                if row.flapping_since is not None:
                    delay = max(delay, self.promises.flapping_window(row.threshold))
                self._knows(recipient, row, "down", now, delay)
                self._was_reminded(recipient, row, now)

    def _knows(self, recipient: Recipient, row: Incident, kind: str, now: int, delay: int) -> None:
        if row.name in self._told[recipient.name, kind] or (row.name, kind) in recipient.rejected:
            return
        free_since = quiet.over_since(self.quiet, row, kind, now)
        if free_since is not None:
            due = max(row.opened_at + delay, free_since) + self.promises.patience
            assert now < due, f"at {now} {recipient.name} was not told of {row} ({kind})"

    def _was_reminded(self, recipient: Recipient, row: Incident, now: int) -> None:
        """Whoever was told of what lasts is told again, until somebody acknowledges it."""
        down = self._told[recipient.name, "down"].get(row.name)
        last = self._told[recipient.name, "reminder"].get(row.name, down)
        free_since = quiet.over_since(self.quiet, row, "reminder", now)
        if last is not None and free_since is not None and not recipient.ever_failed:
            known_at = self._copied_at[last.channel, last.key]
            since = max(known_at, free_since)  # who was held back waits for the others
            due = since + self.promises.remind_after + self.promises.patience
            assert now < due, f"at {now} {recipient.name} was not reminded of {row} after {last}"

    # --- In the end --------------------------------------------------------------------------

    def all_told(self, now: int) -> None:
        """Every outage that lasts is known to every recipient."""
        for recipient in self.recipients:
            self._knows_all(recipient, now)

    def all_over(self) -> None:
        """Everybody who was told of an outage was told of its end; nothing is left to do."""
        for recipient in self.recipients:
            back = self._told[recipient.name, "recovered"]
            for name in self._told[recipient.name, "down"]:
                self.figures["outages told, by channel"] += 1
                row = self.incidents[name]
                rejected = {(name, "down"), (name, "recovered")} & recipient.rejected
                if row.closed_reason == "recovered" and not rejected:
                    assert name in back, f"{recipient.name} does not know that {row} is over"
        assert not self.rows.owed()
        assert not self.rows.open_groups()
