"""Who is quiet now: asked when a message is frozen, and by pages that show it."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from sqlalchemy import Connection

from monitor.incidents import maintenance, matching, silence
from monitor.incidents.maintenance import Maintenance
from monitor.incidents.matching import Matchers
from monitor.incidents.silence import Silence, Span
from monitor.model import DAY, Held, Member
from monitor.state import silences
from monitor.state.silences import MaintenanceRow, SilenceRow

_LOOK_BACK = 7 * DAY
"""Windows that followed on each other are known for as long."""

_LOOK_AHEAD = 2 * DAY
"""A message held for longer is looked at again then."""

_log = logging.getLogger(__name__)


class Subject(Protocol):
    """What can be quiet: a sensor, or a member of a message."""

    @property
    def mac(self) -> int: ...
    @property
    def name(self) -> str | None: ...
    @property
    def site(self) -> str | None: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


def held(
    connection: Connection, members: Mapping[int, Member], kind: str, now: int
) -> dict[int, Held]:
    """Of the incidents given, those that a message of this kind must not tell of at `now`.

    incident id -> until when, which may be told early: it is to be asked again then. Silences and
    maintenance stay as they are until the caller's transaction ends. Raises StateUnavailable.
    """
    if not members:
        return {}
    longest = max(member.threshold for member in members.values())
    since = now - _LOOK_BACK - longest
    quiet = _Quiet(*silences.deciding(connection, since, now), since, now)
    found = {
        number: quiet.ended(member)
        if kind == "recovered"
        else quiet.lasting(member, member.opened_at, member.threshold)
        for number, member in members.items()
    }
    return {number: hold for number, hold in found.items() if hold is not None}


def covering(connection: Connection, subjects: Iterable[Subject], now: int) -> dict[int, Held]:
    """mac -> the silence or maintenance that covers the sensor at `now`; others are left out.

    Raises StateUnavailable.
    """
    quiet = _Quiet(*silences.in_force(connection, now, now), now, now)
    found = {subject.mac: quiet.ended(subject) for subject in subjects}
    return {mac: hold for mac, hold in found.items() if hold is not None}


class _Quiet:
    """Silences and windows from `since` on, as they stand at `now`."""

    def __init__(
        self,
        silenced: Sequence[SilenceRow],
        maintained: Sequence[MaintenanceRow],
        since: int,
        now: int,
    ) -> None:
        self._now = now
        read = [*map(read_silence, silenced), *map(read_maintenance, maintained)]
        self._all = [each for each in read if each is not None]
        self._by_value: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._others: list[int] = []
        for n, each in enumerate(self._all):
            self._index(n, each.matchers)
        self._spans = [each.spans(since, now + _LOOK_AHEAD) for each in self._all]
        # Many incidents have all that decides in common.
        self._decided: dict[tuple[tuple[int, ...], int | None, int], Held | None] = {}

    def _index(self, n: int, matchers: Matchers) -> None:
        """So that of many silences of a few sensors only those that may match are looked at."""
        for matcher in matchers.matchers:
            values = matcher.values()
            if values is not None:
                for value in values:
                    self._by_value[matcher.name][value].append(n)
                return
        self._others.append(n)

    def ended(self, subject: Subject) -> Held | None:
        """Until the silence or window is over."""
        return self._held(subject, None, 0)

    def lasting(self, subject: Subject, opened_at: int, threshold: int) -> Held | None:
        """The same for an incident, which a window may excuse for a threshold longer."""
        return self._held(subject, opened_at, threshold)

    def _held(self, subject: Subject, opened_at: int | None, threshold: int) -> Held | None:
        question = (self._meant(subject), opened_at, threshold)
        if question not in self._decided:
            self._decided[question] = self._decide(*question)
        return self._decided[question]

    def _meant(self, subject: Subject) -> tuple[int, ...]:
        if not self._all:
            return ()
        known = matching.attributes(subject.mac, subject.name, subject.site, subject.labels)
        candidates = self._others.copy()
        for name, numbers in self._by_value.items():
            candidates += numbers.get(known.get(name, ""), ())
        return tuple(n for n in sorted(candidates) if self._all[n].matchers.match(known))

    def _decide(self, meant: tuple[int, ...], opened_at: int | None, threshold: int) -> Held | None:
        silenced: list[Span] = []
        windows: list[Span] = []
        for n in meant:
            kept = silenced if isinstance(self._all[n], Silence) else windows
            kept.extend(self._spans[n])
        if opened_at is not None:
            windows = maintenance.extended(windows, opened_at, threshold)
        return silence.held([*silenced, *windows], self._now)


@lru_cache(maxsize=4096)
def read_silence(row: SilenceRow) -> Silence | None:
    """What the row means; None when it means nothing, which leaves its sensors alerting."""
    try:
        return Silence(row.id, matching.parse(row.matchers), *row[2:])
    except ValueError as error:
        _log.error("silence %d can't be read and is ignored: %s", row.id, error)
        return None


@lru_cache(maxsize=4096)
def read_maintenance(row: MaintenanceRow) -> Maintenance | None:
    """As `read_silence`."""
    try:
        window = maintenance.parse(row.zone, row.start, row.stop, row.recurrence, row.ended_at)
        return Maintenance(row.id, row.name, matching.parse(row.matchers), window)
    except ValueError as error:
        _log.error("maintenance %d can't be read and is ignored: %s", row.id, error)
        return None
