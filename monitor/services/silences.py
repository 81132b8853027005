"""Silences: holds messages about matching sensors for a while."""

from collections.abc import Collection, Iterable
from typing import Literal

from sqlalchemy import Connection, Engine

from monitor.errors import Conflict, Invalid, NotFound
from monitor.incidents import silence
from monitor.model import format_mac, format_time
from monitor.state import audit, incidents, ledger, silences
from monitor.state.database import GREATEST, reading, writing
from monitor.state.silences import SilenceRow

Phase = Literal["current", "upcoming", "past"]

LONGEST_CREATOR = 200


def start(
    engine: Engine,
    actor: str,
    matchers: Iterable[str],
    starts_at: int,
    ends_at: int,
    comment: str,
    now: int,
    created_by: str | None = None,
) -> SilenceRow:
    """Silences all sensors that match, from `starts_at` (not before now) to `ends_at`, in ms.

    `created_by`: who starts it, if not the `actor`.
    """
    with writing(engine) as connection:
        by = created_by or actor
        return start_within(connection, actor, matchers, starts_at, ends_at, comment, by, now)


def start_within(
    connection: Connection,
    actor: str,
    matchers: Iterable[str],
    starts_at: int,
    ends_at: int,
    comment: str,
    created_by: str,
    now: int,
) -> SilenceRow:
    """Does the same as `start`, in the caller's transaction."""
    comment = comment.strip()
    checked = silence.parse_matchers(matchers)
    silence.check(starts_at, ends_at, comment, now)
    number = silences.add_silence(
        connection,
        checked.texts(),
        max(starts_at, now),
        ends_at,
        comment,
        created_by[:LONGEST_CREATOR],
        now,
    )
    row = _found(connection, number)
    detail = {
        "matchers": list(row.matchers),
        "until": format_time(row.ends_at),
        "comment": row.comment,
    }
    audit.record(connection, actor, "silence started", f"{number}", detail)
    return row


def start_for_incidents(
    engine: Engine, actor: str, ids: Collection[int], ends_at: int, comment: str, now: int
) -> int:
    """Silences the sensors of these incidents. Returns the number of sensors."""
    with writing(engine) as connection:
        macs = {case.mac for case in ledger.named(connection, ids)}
        if not macs:
            raise Invalid("incident", "must include an incident that exists")
        start_within(connection, actor, [of_macs(macs)], now, ends_at, comment, actor, now)
    return len(macs)


def start_once(
    engine: Engine,
    actor: str,
    group_id: int,
    macs: Iterable[int],
    ends_at: int,
    comment: str,
    now: int,
) -> None:
    """Silences these sensors of a group, unless the actor has a current silence with this comment.

    So two clicks on the same button start one silence.
    """
    with writing(engine) as connection:
        incidents.lock_groups(connection, [group_id])
        if lasting_until(connection, actor, comment, now) is None:
            matchers = [of_macs(macs)]
            start_within(connection, actor, matchers, now, ends_at, comment, actor, now)


def lasting_until(connection: Connection, actor: str, comment: str, now: int) -> int | None:
    """When the actor's current silence with this comment ends (ms). None: there is none."""
    current, _ = silences.in_force(connection, now, now)
    ends = [row.ends_at for row in current if (row.created_by, row.comment) == (actor, comment)]
    return max(ends, default=None)


def of_macs(macs: Iterable[int]) -> str:
    """A matcher for exactly these sensors."""
    return "mac=" + "|".join(format_mac(mac) for mac in sorted(macs))


def end(engine: Engine, actor: str, number: int, now: int) -> SilenceRow:
    """Ends a silence now."""
    with writing(engine) as connection:
        _found(connection, number)
        if not silences.end_silence(connection, number, now):
            raise Conflict(f"silence {number} has already ended")
        audit.record(connection, actor, "silence ended", f"{number}")
        return _found(connection, number)


def find(engine: Engine, number: int) -> SilenceRow:
    """Returns the silence with this number."""
    with reading(engine) as connection:
        return _found(connection, number)


def listed(engine: Engine, phase: Phase | None, now: int) -> list[SilenceRow]:
    """Returns the silences in a phase; only the newest past ones. None: current and upcoming."""
    with reading(engine) as connection:
        if phase == "past":
            return silences.past_silences(connection, now)
        current, _ = silences.in_force(connection, now, now)
    return [row for row in current if phase in (None, phase_of(row, now))]


def phase_of(row: SilenceRow, now: int) -> Phase:
    """Whether the silence is current, upcoming or past."""
    if row.ends_at <= now:
        return "past"
    return "current" if row.starts_at <= now else "upcoming"


def _found(connection: Connection, number: int) -> SilenceRow:
    row = silences.find_silence(connection, number) if number <= GREATEST else None
    if row is None:
        raise NotFound(f"there is no silence {number}")
    return row
