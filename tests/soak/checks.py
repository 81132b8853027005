"""Checks after a soak test; each returns one sentence per violation."""

import itertools
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Engine, select

from monitor.model import SECOND, format_mac, parse_mac, parse_time
from monitor.state.database import reading
from monitor.state.tables import incident, notification, notification_incident
from tests.receiver import Request
from tests.smtp import Mailbox
from tests.soak.fleet import Accepted
from tests.soak.plan import ALLOWED, THRESHOLD

TOLERANCE = 1 * SECOND
"""The tolerated difference between the length of a silence here and in the service."""

DOWN = ("down", "flapping")
Beat = tuple[int, int]
"""(mac, time of the heartbeat)"""


class Silence(NamedTuple):
    """The time between two accepted heartbeats of a sensor (ms)."""

    mac: int
    since: Accepted
    until: Accepted


class ReportedMember(NamedTuple):
    """One member of one message."""

    mac: int
    last_seen: int
    kind: str


def silences(accepted: Mapping[int, Sequence[Accepted]]) -> list[Silence]:
    """The silences that are certainly longer than the threshold."""
    found = []
    for mac, beats in accepted.items():
        ordered = sorted(beats, key=lambda beat: beat.answered)
        for since, until in itertools.pairwise(ordered):
            if until.sent - since.answered > THRESHOLD * SECOND - TOLERANCE:
                found.append(Silence(mac, since, until))
    return found


def incidents(engine: Engine) -> list[Any]:
    """All incidents in the state."""
    with reading(engine) as connection:
        return list(connection.execute(select(incident).order_by(incident.c.id)))


def messages(engine: Engine) -> list[Any]:
    """Each message, once for each of its incidents."""
    query = select(notification, notification_incident.c.incident_id).join(
        notification_incident, notification_incident.c.notification_id == notification.c.id
    )
    with reading(engine) as connection:
        return list(connection.execute(query))


def unsent(engine: Engine) -> bool:
    """Messages that are due, or will be before the first reminder."""
    due = select(notification.c.id).where(
        notification.c.state.in_(("pending", "claimed")), notification.c.kind != "reminder"
    )
    with reading(engine) as connection:
        return connection.execute(due).first() is not None


def unstored(
    accepted: Mapping[int, Sequence[Accepted]], stored: set[Beat], tried: Collection[Beat]
) -> Iterator[str]:
    """Heartbeats that got a 2xx and are not stored, or are stored and were never sent."""
    acknowledged = {(mac, beat.time) for mac, beats in accepted.items() for beat in beats}
    for mac, time in sorted(acknowledged - stored):
        yield f"accepted, not stored: {format_mac(mac)} {time}"
    for mac, time in sorted(stored - set(tried)):
        yield f"stored, never sent: {format_mac(mac)} {time}"


def false_alerts(
    found: Sequence[Any], reported: Collection[ReportedMember], silent: Sequence[Silence]
) -> Iterator[str]:
    """Incidents and members of messages of sensors that were not silent for their threshold."""
    for row in found:
        if not any(_is_of(silence, row.mac, row.last_seen) for silence in silent):
            yield f"false incident {row.id}: {format_mac(row.mac)}, last seen {row.last_seen}"
    known = {(row.mac, row.last_seen) for row in found}
    for one in sorted(reported):
        if (one.mac, one.last_seen) not in known:
            yield f"reported without an incident: {one}"


def missed(
    found: Sequence[Any],
    silent: Sequence[Silence],
    webhook: Collection[ReportedMember],
    rows: Sequence[Any],
    emailed: Collection[str],
) -> Iterator[str]:
    """Outages over the allowed length for which a channel got no down message or no
    recovery."""
    sent: dict[tuple[int, str], set[str]] = defaultdict(set)
    for row in rows:
        if row.state == "sent" and (row.channel != "email" or row.key in emailed):
            sent[row.incident_id, row.channel].add(row.kind)
    for silence in silent:
        if silence.until.sent - silence.since.answered < ALLOWED * SECOND:
            continue
        what = f"{format_mac(silence.mac)}, silent from {silence.since.answered}"
        its = [row for row in found if _is_of(silence, row.mac, row.last_seen)]
        if not its:
            yield f"no incident: {what} to {silence.until.sent}"
        for row in its:
            if row.closed_reason != "recovered":
                yield f"not recovered but {row.closed_reason}: incident {row.id}, {what}"
            for channel in ("webhook", "email"):
                kinds = sent[row.id, channel]
                if not kinds & set(DOWN) or "recovered" not in kinds:
                    yield f"{channel} got only {sorted(kinds)} of incident {row.id}: {what}"
            arrived = {one.kind for one in webhook if one[:2] == (row.mac, row.last_seen)}
            if not arrived & set(DOWN) or "recovered" not in arrived:
                yield f"at the webhook arrived only {sorted(arrived)} of incident {row.id}: {what}"


def duplicates(rows: Sequence[Any], requests: Sequence[Request], box: Mailbox) -> Iterator[str]:
    """The same member under two keys, or two contents under one key."""
    keys: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for row in rows:
        if row.state == "sent":
            keys[row.incident_id, row.channel, row.kind].add(row.key)
    for request in requests:
        data = json.loads(request.body)
        for member in data["members"]:
            keys[data["kind"], member["mac"], member["last_seen"]].add(data["key"])
    for what, under in keys.items():
        if len(under) > 1:
            yield f"{what} sent under {len(under)} keys"
    bodies: dict[str, set[bytes | str]] = defaultdict(set)
    for request in requests:
        bodies[request.headers["Idempotency-Key"]].add(request.body)
    for message in box.messages:
        bodies[message["Message-ID"]].add(f"{message['Subject']}\n{message.get_content()}")
    for key, contents in bodies.items():
        if len(contents) > 1:
            yield f"{len(contents)} contents under the key {key}"


def reported(requests: Sequence[Request]) -> set[ReportedMember]:
    """The members of messages that arrived at the webhook."""
    found = set()
    for request in requests:
        data = json.loads(request.body)
        for member in data["members"]:
            last_seen = parse_time(member["last_seen"])
            found.add(ReportedMember(parse_mac(member["mac"]), last_seen, data["kind"]))
    return found


def emailed(box: Mailbox) -> set[str]:
    """The keys of messages that arrived by email."""
    return {message["Message-ID"].strip("<>").partition("@")[0] for message in box.messages}


def _is_of(silence: Silence, mac: int, last_seen: int) -> bool:
    return (
        silence.mac == mac
        and silence.since.time - TOLERANCE <= last_seen <= silence.until.sent
        and silence.until.sent - last_seen > THRESHOLD * SECOND - TOLERANCE
    )
