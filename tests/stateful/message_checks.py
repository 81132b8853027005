"""Checks of the messages that recipients received."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.stateful import holds
from tests.stateful.holds import Hold
from tests.stateful.recipients import Arrival, Recipient
from tests.stateful.rows import Incident, Name, Rows


@dataclass(frozen=True)
class Limits:
    """The settings of the service, in ms."""

    max_delay: int
    """The longest delay of a message that nothing holds."""
    remind_after: int
    escalate_after: int
    flapping_window: Callable[[int], int]
    """Threshold -> how long a flapping sensor must be silent until it is reported again."""


@dataclass
class MessageChecks:
    """Checks the messages of one example. Methods raise AssertionError on a violation."""

    rows: Rows
    recipients: Collection[Recipient]
    limits: Limits
    escalates: Callable[[int, str], bool]
    """(mac, channel) -> whether this channel gets only incidents that are not acknowledged."""
    figures: Counter[str]
    holds: list[Hold] = field(default_factory=list)
    incidents: dict[Name, Incident] = field(default_factory=dict)
    _arrivals: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    _copied_at: dict[tuple[str, str], int] = field(default_factory=dict)
    _recorded: dict[tuple[str, str], int] = field(default_factory=dict)
    _received: dict[tuple[str, str], dict[Name, Arrival]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def read(self) -> None:
        """Read the current incidents."""
        self.incidents = {row.name: row for row in self.rows.incidents().values()}

    # --- Each arrival ------------------------------------------------------------------------

    def arrived(self, arrival: Arrival) -> None:
        """Check a message that reached a recipient."""
        self.figures[f"messages: {arrival.kind}"] += 1
        first = self._arrivals.setdefault((arrival.channel, arrival.key), arrival)
        assert first.data == arrival.data, f"{arrival.key} came with another content"
        self._copied_at[arrival.channel, arrival.key] = arrival.at
        if arrival.members:
            self._check_not_held(arrival)
        if arrival.kind == "reminder":
            over = self._received[arrival.channel, "recovered"].keys()
            assert not set(arrival.members) <= over, f"reminder after the recovery: {arrival}"
        if first is not arrival:
            recorded = self._recorded.get((arrival.channel, arrival.key))
            assert recorded is None or arrival.began < recorded, f"sent again: {arrival}"
            self.figures["repetitions under the same key"] += 1
            return
        for member in arrival.members:
            self._note(arrival, self.incidents[member])

    def accepted(self, channel: str, key: str, number: int) -> None:
        """Note a message that was accepted by a recipient and recorded by the notifier."""
        self._recorded.setdefault((channel, key), number)

    def _check_not_held(self, arrival: Arrival) -> None:
        """No message is sent during a silence. A message frozen before the silence may be
        retried if it has other members too."""
        rows = [self.incidents[member] for member in arrival.members]
        held = [holds.covering(self.holds, row, arrival.kind, arrival.at) for row in rows]
        assert not all(held), f"{arrival} despite {held}"
        for each in (each for some in held for each in some):
            assert each.is_newer_than(arrival.frozen_at), f"{arrival} despite {each}"

    def _note(self, arrival: Arrival, row: Incident) -> None:
        kind, channel = arrival.kind, arrival.channel
        sent_before, down = self._received[channel, kind], self._received[channel, "down"]
        earlier = sent_before.get(row.name)
        if kind == "reminder":
            assert row.name in down, f"{channel} got a reminder of {row} and no down message"
            since = arrival.frozen_at - earlier.frozen_at if earlier else None
            assert since is None or since >= self.limits.remind_after, f"{since}: {arrival}"
        else:
            excused = (row.name, kind) in self._rejected_by(channel)
            assert earlier is None or excused, f"{row} is sent twice: {earlier}, {arrival}"
        if kind == "recovered":
            assert row.name in down, f"{channel} got the recovery of {row} and no down message"
            assert row.closed_reason == "recovered", f"{channel} got a recovery of {row}"
        if kind == "flapping":
            assert row.flapping_since == row.opened_at, f"{row} is not the beginning of flapping"
        if kind in ("down", "reminder"):
            assert not row.acknowledged_at or row.acknowledged_at >= arrival.frozen_at, arrival
            assert not row.closed_at or row.closed_at > arrival.frozen_at, arrival
        if kind != "recovered" and self.escalates(row.mac, channel):
            since = arrival.at - row.opened_at
            assert since >= self.limits.escalate_after, f"after {since} ms: {arrival}"
        sent_before[row.name] = arrival

    def _rejected_by(self, channel: str) -> Collection[tuple[Name, str]]:
        """What a recipient refused permanently, perhaps after it accepted it unrecorded."""
        return next(each.rejected for each in self.recipients if each.name == channel)

    # --- Completeness ------------------------------------------------------------------------

    def after_delivery(self, now: int, undisturbed_since: int) -> None:
        """Every due message has arrived. `undisturbed_since`: the last failure of a notifier."""
        if now - undisturbed_since >= self.limits.max_delay:
            for recipient in self.recipients:
                if not recipient.ever_failed:
                    self._check_notified(recipient, now)

    def _check_notified(self, recipient: Recipient, now: int) -> None:
        for row in self.incidents.values():
            waits = self.escalates(row.mac, recipient.name)
            if row.flapping_since == row.opened_at and not waits:
                self._check_received(recipient, row, "flapping", now, 0)
            if row.closed_at is None and row.acknowledged_at is None:
                delay = self.limits.escalate_after if waits else 0
                if row.flapping_since is not None:
                    delay = max(delay, self.limits.flapping_window(row.threshold))
                self._check_received(recipient, row, "down", now, delay)
                self._check_reminded(recipient, row, now)

    def _check_received(
        self, recipient: Recipient, row: Incident, kind: str, now: int, delay: int
    ) -> None:
        if (
            row.name in self._received[recipient.name, kind]
            or (row.name, kind) in recipient.rejected
        ):
            return
        unheld_since = holds.released_since(self.holds, row, kind, now)
        if unheld_since is not None:
            due = max(row.opened_at + delay, unheld_since) + self.limits.max_delay
            assert now < due, f"at {now} {recipient.name} got no {kind} message of {row}"

    def _check_reminded(self, recipient: Recipient, row: Incident, now: int) -> None:
        """Recipients get reminders of an open incident until it is acknowledged."""
        down = self._received[recipient.name, "down"].get(row.name)
        last = self._received[recipient.name, "reminder"].get(row.name, down)
        unheld_since = holds.released_since(self.holds, row, "reminder", now)
        if last is not None and unheld_since is not None and not recipient.ever_failed:
            known_at = self._copied_at[last.channel, last.key]
            since = max(known_at, unheld_since)  # a held member waits for the others
            due = since + self.limits.remind_after + self.limits.max_delay
            assert now < due, f"at {now} {recipient.name} was not reminded of {row} after {last}"

    # --- In the end --------------------------------------------------------------------------

    def check_all_notified(self, now: int) -> None:
        """Every recipient knows of every open incident."""
        for recipient in self.recipients:
            self._check_notified(recipient, now)

    def check_all_recovered(self) -> None:
        """Every recipient of a down message got the recovery, and nothing is pending."""
        for recipient in self.recipients:
            back = self._received[recipient.name, "recovered"]
            for name in self._received[recipient.name, "down"]:
                self.figures["outages reported, by channel"] += 1
                row = self.incidents[name]
                rejected = {(name, "down"), (name, "recovered")} & recipient.rejected
                if row.closed_reason == "recovered" and not rejected:
                    assert name in back, f"{recipient.name} got no recovery of {row}"
        assert not self.rows.pending()
        assert not self.rows.open_groups()
