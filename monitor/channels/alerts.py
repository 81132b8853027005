"""Messages as Prometheus alerts: one per sensor, identified by its labels.

All labels together identify an alert, so they contain only what seldom changes. Current values are
in the annotations.
"""

import re
from collections.abc import Mapping
from typing import Any

from monitor.channels.interface import Message
from monitor.model import DAY, HOUR, MINUTE, SECOND, format_time, parse_time
from monitor.refusal import PRESUMED, REASONS

SILENT = "SensorSilent"

Alert = dict[str, Any]
"""As `POST /api/v2/alerts` accepts it: `labels`, `annotations`, `startsAt`, `endsAt`, …"""

FIRING = 5 * MINUTE
"""How long a `SensorSilent` alert fires after it was last sent. It is sent again each minute."""

LASTING = {"flapping": 1 * DAY, "notice": 1 * HOUR}
"""How long alerts of other kinds fire (ms)."""

_TEST = 5 * MINUTE
_NAMES = {"flapping": "SensorFlapping", "notice": "MonitoringNotice", "test": "MonitoringTest"}
_SUMMARIES = {SILENT: "is silent", "SensorFlapping": "keeps going silent and recovering"}
_RESERVED = frozenset({"alertname", "mac", "name", "site"})


def alerts(message: Message, now: int) -> list[Alert]:
    """The message as alerts that contain everything a receiver needs.

    With sensors: `SensorSilent`, firing for `FIRING` from `now` (ms), and `SensorFlapping`, for a
    day. Without sensors: `MonitoringNotice`, for an hour, and `MonitoringTest`.
    """
    members: list[Mapping[str, Any]] = message.data["members"]
    if message.kind == "recovered":
        return [_of_sensor(message, SILENT, member, _end(message, member)) for member in members]
    if message.kind in ("down", "reminder"):
        return [
            # The clock may have been set back since the incident was opened.
            _of_sensor(message, SILENT, member, max(now, parse_time(member["opened_at"])) + FIRING)
            for member in members
        ]
    ends = message.time + LASTING.get(message.kind, _TEST)
    if not members:
        labels = {"alertname": _NAMES[message.kind], "severity": message.severity}
        if message.kind == "notice":
            labels["thread"] = message.thread
        annotations = {"summary": message.subject, "description": message.text}
        return [_alert(message, labels, annotations, message.time, ends, message.link)]
    return [_of_sensor(message, _NAMES[message.kind], member, ends) for member in members]


def _of_sensor(message: Message, name: str, member: Mapping[str, Any], ends: int) -> Alert:
    mac, site = member["mac"], member["site"]
    labels = {_label(key): value for key, value in sorted(member["labels"].items())}
    labels.setdefault("severity", "critical")
    labels |= {"alertname": name, "mac": mac, "name": member["name"] or "", "site": site or ""}
    title = (member["name"] or mac) + (f" at {site}" if site else "")
    annotations = {
        "summary": f"{title} {_SUMMARIES[name]}",
        "description": _evidence(member),
        "last_seen": member["last_seen"],
    }
    link = message.link
    if not link.endswith(mac):  # the link of a message about several sensors
        link += f"sensors/{mac}"
    return _alert(message, labels, annotations, parse_time(member["opened_at"]), ends, link)


def _end(message: Message, member: Mapping[str, Any]) -> int:
    """When the sensor recovered, or else when the incident was closed for another reason."""
    recovered_at = member["recovered_at"]
    ends = message.time if recovered_at is None else parse_time(recovered_at)
    # Alertmanager refuses an alert that does not end after its start.
    return max(ends, parse_time(member["opened_at"]) + SECOND)


def _evidence(member: Mapping[str, Any]) -> str:
    usual = member["usual_interval_seconds"]
    # Messages of earlier versions have neither.
    refused, reason = member.get("refused_at"), member.get("refused_for", "")
    return (
        f"Last seen {member['last_seen']}; threshold {member['threshold_seconds']:g} s"
        + ("" if usual is None else f"; usually reports every {usual:g} s")
        + ("" if refused is None else f"; last refused {refused}: {REASONS[reason]}")
        + ("" if member["proven"] else f"; {PRESUMED}")
        + "."
    )


def _alert(
    message: Message,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    starts: int,
    ends: int,
    link: str,
) -> Alert:
    actions = {"acknowledge": message.actions[0].url} if message.actions else {}
    return {
        "labels": {key: value for key, value in labels.items() if value},
        "annotations": {**annotations, "link": link, **actions},
        "startsAt": format_time(starts),
        "endsAt": format_time(ends),
        "generatorURL": link,
    }


def _label(name: str) -> str:
    """A sensor's label as a valid Prometheus label that is not one of the reserved names."""
    valid = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    plain = valid not in _RESERVED and re.match(r"[a-zA-Z]|_[^_]", valid)
    return valid if plain else f"label_{valid}"
