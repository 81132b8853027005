"""Who is quiet now: asked when a message is frozen, and by pages that show it."""

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
"""Windows that followed on each other are known for as long."""

_LOOK_AHEAD = 2 * DAY
"""A message held for longer is looked at again then."""

Rules = tuple[Sequence[SilenceRow], Sequence[MaintenanceRow]]

_log = logging.getLogger(__name__)


class MuteSubject(Protocol):
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
    quiet = _Quiet(silences.deciding(connection, since, now), since, now)
    found = {
        number: quiet.ended(meant)
        if kind == "recovered"
        else quiet.lasting(meant, member.opened_at, member.threshold)
        for (number, member), meant in zip(
            members.items(), quiet.meant(members.values()), strict=True
        )
    }
    return {number: hold for number, hold in found.items() if hold is not None}


def covering(rules: Rules, subjects: Iterable[MuteSubject], now: int) -> dict[int, Held]:
    """mac -> the silence or maintenance that covers the sensor at `now`; others are left out.

    `rules`: as `silences.in_force` reads them. A large fleet takes seconds: call it outside of any
    transaction.
    """
    if not any(rules):
        return {}
    quiet, asked = _Quiet(rules, now, now), list(subjects)
    found = {
        subject.mac: quiet.ended(meant)
        for subject, meant in zip(asked, quiet.meant(asked), strict=True)
    }
    return {mac: hold for mac, hold in found.items() if hold is not None}


class _Quiet:
    """Silences and windows from `since` on, as they stand at `now`."""

    def __init__(self, rules: Rules, since: int, now: int) -> None:
        self._now = now
        read = [*map(read_silence, rules[0]), *map(read_maintenance, rules[1])]
        self._all = [each for each in read if each is not None]
        self._spans = [each.spans(since, now + _LOOK_AHEAD) for each in self._all]
        # Many incidents have all that decides in common.
        self._decided: dict[tuple[tuple[int, ...], int | None, int], Held | None] = {}

    def meant(self, subjects: Collection[MuteSubject]) -> list[tuple[int, ...]]:
        """For each subject the places of the silences and windows that mean it."""
        found: list[list[int]] = [[] for _ in subjects]
        fleet = Coverage(
            matching.attributes(one.mac, one.name, one.site, one.labels)
            for one in (subjects if self._all else ())
        )
        for n, each in enumerate(self._all):
            for place in fleet.meant(each.matchers):
                found[place].append(n)
        return list(map(tuple, found))

    def ended(self, meant: tuple[int, ...]) -> Held | None:
        """Until the silence or window ends."""
        return self._held(meant, None, 0)

    def lasting(self, meant: tuple[int, ...], opened_at: int, threshold: int) -> Held | None:
        """The same for an incident, which a window may excuse for a threshold longer."""
        return self._held(meant, opened_at, threshold)

    def _held(self, meant: tuple[int, ...], opened_at: int | None, threshold: int) -> Held | None:
        question = (meant, opened_at, threshold)
        if question not in self._decided:
            self._decided[question] = self._decide(*question)
        return self._decided[question]

    def _decide(self, meant: tuple[int, ...], opened_at: int | None, threshold: int) -> Held | None:
        silenced: list[MuteSpan] = []
        windows: list[MuteSpan] = []
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
