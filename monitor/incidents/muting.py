"""Which sensors are muted by a silence or maintenance, for messages and for pages."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from sqlalchemy import Connection

from monitor.incidents import maintenance, matching, silence
from monitor.incidents.coverage import Coverage
from monitor.incidents.maintenance import Maintenance
from monitor.incidents.silence import MuteSpan, Silence
from monitor.model import DAY, Held, Member
from monitor.state import silences
from monitor.state.silences import MaintenanceRow, SilenceRow

_LOOK_BACK = 7 * DAY
"""How far back windows are read: one that adjoins an earlier one may extend it."""

_LOOK_AHEAD = 2 * DAY
"""How far ahead windows are read. A message that is held for longer is checked again then."""

Rules = tuple[Sequence[SilenceRow], Sequence[MaintenanceRow]]

_log = logging.getLogger(__name__)


class MuteSubject(Protocol):
    """What can be muted: a sensor, or a member of a message."""

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
    """Incident id -> until when messages of this kind must not include it, and why; incidents that
    are not muted are left out.

    It may be a time before the end of the last window; check again then. Silences and maintenance
    do not change until the caller's transaction ends. Raises StateUnavailable.
    """
    if not members:
        return {}
    longest = max(member.threshold for member in members.values())
    since = now - _LOOK_BACK - longest
    mutings = _Mutings(silences.deciding(connection, since, now), since, now)
    matching_rules = mutings.matching(members.values())
    found = {}
    for (incident, member), rules in zip(members.items(), matching_rules, strict=True):
        if kind == "recovered":
            hold = mutings.hold(rules)
        else:
            hold = mutings.hold_alert(rules, member.opened_at, member.threshold)
        if hold is not None:
            found[incident] = hold
    return found


def covering(rules: Rules, subjects: Iterable[MuteSubject], now: int) -> dict[int, Held]:
    """mac -> the silence or maintenance that covers the sensor at `now`; sensors that are not
    covered are left out.

    `rules`: from `silences.in_force`. A large fleet takes seconds, so don't call it in a
    transaction.
    """
    if not any(rules):
        return {}
    mutings, subjects = _Mutings(rules, now, now), list(subjects)
    holds = map(mutings.hold, mutings.matching(subjects))
    found = zip(subjects, holds, strict=True)
    return {subject.mac: hold for subject, hold in found if hold is not None}


class _Mutings:
    """The silences and maintenance windows since `since`, and what they hold at `now`.

    A subject's matching rules are a tuple of indexes: many subjects have the same ones, so holds
    are cached by it.
    """

    def __init__(self, rows: Rules, since: int, now: int) -> None:
        self._now = now
        read = [*map(read_silence, rows[0]), *map(read_maintenance, rows[1])]
        self._rules = [rule for rule in read if rule is not None]
        self._spans = [rule.spans(since, now + _LOOK_AHEAD) for rule in self._rules]
        self._holds: dict[tuple[tuple[int, ...], int | None, int], Held | None] = {}

    def matching(self, subjects: Collection[MuteSubject]) -> list[tuple[int, ...]]:
        """For each subject, the indexes of the rules that match it."""
        found: list[list[int]] = [[] for _ in subjects]
        fleet = Coverage(
            matching.attributes(subject.mac, subject.name, subject.site, subject.labels)
            for subject in (subjects if self._rules else ())
        )
        for index, rule in enumerate(self._rules):
            for position in fleet.matching(rule.matchers):
                found[position].append(index)
        return list(map(tuple, found))

    def hold(self, rules: tuple[int, ...]) -> Held | None:
        """Until when these rules mute now; None if they don't."""
        return self._cached(rules, None, 0)

    def hold_alert(self, rules: tuple[int, ...], opened_at: int, threshold: int) -> Held | None:
        """The same for an alert about an incident, which maintenance may hold for one threshold
        longer; see `maintenance.extended`."""
        return self._cached(rules, opened_at, threshold)

    def _cached(self, rules: tuple[int, ...], opened_at: int | None, threshold: int) -> Held | None:
        key = rules, opened_at, threshold
        if key not in self._holds:
            self._holds[key] = self._hold(rules, opened_at, threshold)
        return self._holds[key]

    def _hold(self, rules: tuple[int, ...], opened_at: int | None, threshold: int) -> Held | None:
        silenced: list[MuteSpan] = []
        windows: list[MuteSpan] = []
        for index in rules:
            spans = silenced if isinstance(self._rules[index], Silence) else windows
            spans.extend(self._spans[index])
        if opened_at is not None:
            windows = maintenance.extended(windows, opened_at, threshold)
        return silence.held([*silenced, *windows], self._now)


@lru_cache(maxsize=4096)
def read_silence(row: SilenceRow) -> Silence | None:
    """Parses a row; None if it is invalid. Then its sensors are not muted."""
    try:
        return Silence(row.id, matching.parse(row.matchers), *row[2:])
    except ValueError as error:
        _log.error("silence %d can't be read and is ignored: %s", row.id, error)
        return None


@lru_cache(maxsize=4096)
def read_maintenance(row: MaintenanceRow) -> Maintenance | None:
    """Parses a row; None if it is invalid. Then its sensors are not muted."""
    try:
        window = maintenance.parse(row.zone, row.start, row.stop, row.recurrence, row.ended_at)
        return Maintenance(row.id, row.name, matching.parse(row.matchers), window)
    except ValueError as error:
        _log.error("maintenance %d can't be read and is ignored: %s", row.id, error)
        return None
