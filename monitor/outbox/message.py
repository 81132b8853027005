"""The texts of messages. A subject must be enough to decide whether to act."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from monitor.model import SECOND, Member, MessageContext, format_mac, format_time
from monitor.outbox.wording import at, counted, duration, label, long, name, number
from monitor.refusal import REASONS

LISTED = 10
"""How many members the text lists. It gives only the number of the others."""

LISTED_IN_DATA = 1_000
"""How many members the body lists."""

SEVERITIES = ("info", "warning", "critical")
"""From the least severe. A sensor's label `severity` sets it; without one it is critical."""


class Frame(NamedTuple):
    """What all messages have in common."""

    base_url: str
    """Of the service's pages, without a slash at its end."""
    zone: tzinfo
    """The time zone in which moments are written."""


def compose(
    context: MessageContext, frame: Frame, acknowledge: str | None = None
) -> dict[str, Any]:
    """The body of a message about sensors: what every channel sends, as JSON.

    `acknowledge`: the link that acknowledges without a login, if the message has one.

    The body: `kind`, `time`, `thread`, `severity`, `subject`, `text`, `link`, `actions` (each
    `label` and `url`), `escalated`, `fleet_wide`, `site`, `neighbours` (sensors of the site, or of
    the fleet if it is fleet-wide), `neighbours_silent`, `silent` (open incidents of the group),
    `count` and `members`, of which the first 1,000 are listed, each with `mac`, `name`, `site`,
    `labels`, `last_seen`, `threshold_seconds`, `usual_interval_seconds`, `proven`,
    `interruptions`, `opened_at`, `recovered_at`, `refused_at` and `refused_for` (the last refused
    heartbeat and why, if known). Times are RFC 3339 in UTC.
    """
    subject, explanation = _subject_and_explanation(context, frame)
    link = _link(context, frame)
    actions = [] if acknowledge is None else [{"label": _ACKNOWLEDGE, "url": acknowledge}]
    paragraphs = [
        f"{subject}.",
        explanation,
        "\n".join(_member_lines(context, frame)),
        _neighbour_sentence(context),
        "\n".join(f"{action['label']}: {action['url']}" for action in actions),
    ]
    return {
        "kind": context.kind,
        "time": format_time(context.time),
        "thread": context.thread,
        "severity": _severity(context.members),
        "subject": subject,
        "text": _text(paragraphs, context.time, link, frame),
        "link": link,
        "actions": actions,
        "escalated": context.escalated,
        "fleet_wide": context.fleet_wide,
        "site": context.site,
        "neighbours": context.neighbours,
        "neighbours_silent": context.neighbours_silent,
        "silent": context.silent,
        "count": len(context.members),
        "members": [_data(member) for member in context.members[:LISTED_IN_DATA]],
    }


def compose_notice(
    subject: str,
    sentences: Sequence[str],
    time: int,
    thread: str,
    frame: Frame,
    kind: str = "notice",
) -> dict[str, Any]:
    """The body of a message about the service itself: of kind `notice` or `test`."""
    link = frame.base_url + "/"
    return {
        "kind": kind,
        "time": format_time(time),
        "thread": thread,
        "severity": "warning" if kind == "notice" else "info",
        "subject": subject,
        "text": _text([f"{subject}.", *sentences], time, link, frame),
        "link": link,
        "actions": [],
        "escalated": False,
        "fleet_wide": False,
        "site": None,
        "neighbours": None,
        "neighbours_silent": 0,
        "silent": 0,
        "count": 0,
        "members": [],
    }


def compose_test(time: int, frame: Frame) -> dict[str, Any]:
    """The body of a test message."""
    return compose_notice(
        "Test message from heartbeat-monitor",
        ["This channel works. Alerts about silent sensors will arrive here."],
        time,
        f"heartbeat-monitor-test-{time}",
        frame,
        kind="test",
    )


_ACKNOWLEDGE = "Acknowledge, or silence for 4 h"


def _subject_and_explanation(context: MessageContext, frame: Frame) -> tuple[str, str]:
    subject, explanation = _WRITERS[context.kind](context, frame)
    if not context.escalated:
        return subject, explanation
    return f"Escalated: {subject}", f"No one has acknowledged this alert yet. {explanation}".strip()


def _member_lines(context: MessageContext, frame: Frame) -> list[str]:
    line = _recovered_line if context.kind == "recovered" else _silent_line
    lines = [line(member, context, frame) for member in context.members[:LISTED]]
    if len(context.members) > LISTED:
        lines.append(f"- and {number(len(context.members) - LISTED)} more")
    return lines


def _link(context: MessageContext, frame: Frame) -> str:
    """The page of the sensor if there is only one, else the grid."""
    if len(context.members) != 1:
        return f"{frame.base_url}/"
    return f"{frame.base_url}/sensors/{format_mac(context.members[0].mac)}"


def _down(context: MessageContext, frame: Frame) -> tuple[str, str]:
    members = context.members
    state = "silent" if any(member.proven for member in members) else "presumed down, silent"
    since = long(min(member.last_seen for member in members), frame.zone)
    reported_earlier = context.silent > len(members)
    of_all = "" if context.neighbours is None else f" of {number(context.neighbours)}"
    if reported_earlier and len(members) > 1:
        sensors = f"{number(len(members))} more sensors{_where(context)}"
    else:
        sensors = _sensors(context)
    in_all = f", {number(context.silent)}{of_all} in all" if reported_earlier else ""
    prefix = "Fleet-wide: " if context.fleet_wide else ""
    return f"{prefix}{sensors} {state} since {since}{in_all}", ""


def _reminder(context: MessageContext, frame: Frame) -> tuple[str, str]:
    since = long(min(member.last_seen for member in context.members), frame.zone)
    prefix = "Fleet-wide: " if context.fleet_wide else ""
    subject = f"Reminder: {prefix}{_sensors(context)} still silent since {since}"
    return subject, "This reminder repeats until someone acknowledges it."


def _flapping(context: MessageContext, _frame: Frame) -> tuple[str, str]:
    one = len(context.members) == 1
    subject = f"{_sensors(context)} {'keeps' if one else 'keep'} going silent and recovering"
    return subject, (
        f"{'It is' if one else 'They are'} flapping: each outage is recorded, but causes no "
        f"message. The next message is sent when {'it stays' if one else 'they stay'} silent, or "
        f"when {'it starts' if one else 'they start'} flapping again."
    )


def _recovered(context: MessageContext, _frame: Frame) -> tuple[str, str]:
    members, silent = context.members, context.silent
    longest = duration(max(_silence(member) for member in members))
    still = f"; {number(silent)} still silent" if silent else ""
    if len(members) == 1:
        return f"Recovered: {_sensors(context)}, silent for {longest}{still}", ""
    sensors = f"{number(len(members))} sensors{_where(context)}"
    return f"Recovered: {sensors}, silent for up to {longest}{still}", ""


_WRITERS = {"down": _down, "reminder": _reminder, "flapping": _flapping, "recovered": _recovered}


def _where(context: MessageContext) -> str:
    """` at Site X`, ` at 12 sites`, or nothing."""
    if context.fleet_wide:
        return ""
    sites = {member.site for member in context.members if member.site}
    return f" at {number(len(sites))} sites" if len(sites) > 1 else at(context.site)


def _sensors(context: MessageContext) -> str:
    """`Boiler at Site X`, or `212 of 230 sensors at Site X`."""
    count, neighbours = len(context.members), context.neighbours
    where = _where(context)
    if count == 1:
        return name(context.members[0]) + where
    if count == neighbours:
        return f"All {number(count)} sensors{where}"
    of_all = "" if neighbours is None else f" of {number(neighbours)}"
    return f"{number(count)}{of_all} sensors{where}"


def _silent_line(member: Member, context: MessageContext, frame: Frame) -> str:
    silence = context.time - member.last_seen
    parts = [
        f"last seen {long(member.last_seen, frame.zone)}, {duration(silence)} before this "
        f"message (threshold {duration(member.threshold)})"
    ]
    if member.usual_interval:
        heartbeats = counted(silence // member.usual_interval, "heartbeat")
        parts.append(
            f"usually reports every {duration(member.usual_interval)}, {heartbeats} missed"
        )
    refused = _refused(member, context.time)
    if refused:
        parts.append(refused)
    if not member.proven:
        times = f" {member.interruptions} times" if member.interruptions > 1 else ""
        blind = member.interruptions or not refused
        cause = f"monitoring was blind{times}" if blind else "its heartbeats were refused"
        parts.append(f"presumed down, because {cause} during the silence")
    return f"- {label(member, context.site)}: {'; '.join(parts)}"


def _refused(member: Member, time: int) -> str:
    """`last refused 20 s ago: 401, …`, if a heartbeat was refused during the silence."""
    at, reason = member.refused_at, REASONS.get(member.refused_for or "")
    if at is None or reason is None or at <= member.last_seen:
        return ""
    return f"last refused {duration(max(time - at, 0))} ago: {reason}"


def _recovered_line(member: Member, context: MessageContext, frame: Frame) -> str:
    silence = _silence(member)
    return (
        f"- {label(member, context.site)}: silent for {duration(silence)}, from "
        f"{long(member.last_seen, frame.zone)} to {long(member.last_seen + silence, frame.zone)}"
    )


def _neighbour_sentence(context: MessageContext) -> str:
    """How many sensors of the site or fleet are silent; empty without such a number."""
    if context.neighbours is None or context.neighbours < 2:
        return ""
    where = " in the fleet" if context.fleet_wide else at(context.site)
    silent = min(context.neighbours_silent, context.neighbours)
    return (
        f"{number(silent)} of {number(context.neighbours)} sensors{where} "
        f"{'is' if silent == 1 else 'are'} silent."
    )


def _silence(member: Member) -> int:
    return max((member.recovered_at or member.last_seen) - member.last_seen, 0)


def _severity(members: Sequence[Member]) -> str:
    """The highest severity of the members. An unknown severity counts as critical."""
    given = (member.labels.get("severity", "critical") for member in members)
    ranks = (SEVERITIES.index(each) if each in SEVERITIES else 2 for each in given)
    return SEVERITIES[max(ranks)]


def _text(paragraphs: Sequence[str], time: int, link: str, frame: Frame) -> str:
    footer = f"Written {long(time, frame.zone)}. Details: {link}"
    return "\n\n".join(paragraph for paragraph in [*paragraphs, footer] if paragraph) + "\n"


def _data(member: Member) -> dict[str, Any]:
    interval = member.usual_interval
    return {
        "mac": format_mac(member.mac),
        "name": member.name,
        "site": member.site,
        "labels": dict(member.labels),
        "last_seen": format_time(member.last_seen),
        "threshold_seconds": member.threshold / SECOND,
        "usual_interval_seconds": None if interval is None else interval / SECOND,
        "proven": member.proven,
        "interruptions": member.interruptions,
        "opened_at": format_time(member.opened_at),
        "recovered_at": None if member.recovered_at is None else format_time(member.recovered_at),
        "refused_at": None if member.refused_at is None else format_time(member.refused_at),
        "refused_for": member.refused_for,
    }
