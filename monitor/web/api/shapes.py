"""Incidents, their ledger and routes as JSON, for the API and the command line."""

from collections.abc import Sequence
from typing import Any

import msgspec

from monitor.incidents import machine
from monitor.incidents.timeline import build_timeline
from monitor.model import SECOND, Facts, IncidentView, format_mac, format_time
from monitor.state.routing import RouteRow


class CaseShape(msgspec.Struct):
    """An incident. Times are RFC 3339 in UTC."""

    id: int
    mac_address: str
    name: str | None
    site: str | None
    state: str
    """open | acknowledged | closed"""
    last_seen: str
    threshold_seconds: float
    proven: bool
    opened_at: str
    flapping_since: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    closed_at: str | None
    closed_reason: str | None
    recovered_at: str | None


class EntryShape(msgspec.Struct):
    """One entry of a ledger."""

    time: str
    channel: str | None
    recipient: str | None
    kind: str | None
    event: str
    text: str
    until: str | None


def case_shape(case: IncidentView) -> CaseShape:
    """An incident as JSON."""
    return CaseShape(
        id=case.id,
        mac_address=format_mac(case.mac),
        name=case.name,
        site=case.site,
        state=machine.state_of(case.acknowledged_at, case.closed_at).value,
        last_seen=format_time(case.last_seen),
        threshold_seconds=case.threshold / SECOND,
        proven=case.proven,
        opened_at=format_time(case.opened_at),
        flapping_since=time(case.flapping_since),
        acknowledged_at=time(case.acknowledged_at),
        acknowledged_by=case.acknowledged_by,
        closed_at=time(case.closed_at),
        closed_reason=case.closed_reason,
        recovered_at=time(case.recovered_at),
    )


class RouteShape(msgspec.Struct):
    """A route."""

    name: str
    position: int
    matchers: list[str]
    channels: list[str]
    escalate_to: list[str]
    escalate_after_seconds: float | None


def route_shape(position: int, row: RouteRow) -> RouteShape:
    """A route as JSON."""
    after = row.escalate_after
    return RouteShape(
        name=row.name,
        position=position,
        matchers=row.matchers,
        channels=row.channels,
        escalate_to=row.escalate_to,
        escalate_after_seconds=None if after is None else after / SECOND,
    )


def ledger_shape(facts: Facts, now: int) -> dict[str, Any]:
    """An incident with everything that was sent, attempted and suppressed, the oldest first."""
    return {
        "incident": case_shape(facts.case),
        "ledger": [
            EntryShape(
                time=format_time(entry.at),
                channel=entry.channel,
                recipient=entry.recipient,
                kind=entry.kind,
                event=entry.event,
                text=entry.text,
                until=time(entry.until),
            )
            for entry in build_timeline(facts, now)
        ],
    }


def next_before(found: Sequence[IncidentView], limit: int) -> int | None:
    """The `before` of the next page; None if this is the last one."""
    return found[-1].id if len(found) == limit else None


def time(moment: int | None) -> str | None:
    """RFC 3339 in UTC; None stays None."""
    return None if moment is None else format_time(moment)
