"""Our messages as alerts of Prometheus: one for each sensor, told apart by its labels.

An alert is known by all of its labels together, so they hold only what seldom changes; what tells
of the moment is in the annotations.
"""

import re
from collections.abc import Mapping
from typing import Any

from monitor.channels.interface import Message
from monitor.model import DAY, HOUR, MINUTE, SECOND, format_time, parse_time

SILENT = "SensorSilent"

Alert = dict[str, Any]
"""As `POST /api/v2/alerts` takes it: `labels`, `annotations`, `startsAt`, `endsAt`, …"""

FIRING = 5 * MINUTE
"""How long a silence fires after it was last sent: it is sent again each minute until it ends."""

LASTING = {"flapping": 1 * DAY, "notice": 1 * HOUR}
"""How long alerts of other kinds fire."""

_TEST = 5 * MINUTE
_NAMES = {"flapping": "SensorFlapping", "notice": "MonitoringNotice", "test": "MonitoringTest"}
_SAID = {SILENT: "is silent", "SensorFlapping": "keeps going silent and recovering"}
_OWN = frozenset({"alertname", "mac", "name", "site"})


def alerts(message: Message, now: int) -> list[Alert]:
    """What this message says, for a receiver that knows nothing else.

    Of sensors: `SensorSilent`, firing for `FIRING` from `now` (ms); `SensorFlapping`, for a day.
    Without sensors: `MonitoringNotice`, for an hour, and `MonitoringTest`.
    """
    members: list[Mapping[str, Any]] = message.data["members"]
    if message.kind == "recovered":
        return [_of_sensor(message, SILENT, member, _end(message, member)) for member in members]
    if message.kind in ("down", "reminder"):
        return [
            # Not by our clock alone: it may have been set back since.
            _of_sensor(message, SILENT, member, max(now, parse_time(member["opened_at"])) + FIRING)
            for member in members
        ]
    ends = message.time + LASTING.get(message.kind, _TEST)
    if not members:
        labels = {"alertname": _NAMES[message.kind], "severity": message.severity}
        if message.kind == "notice":
            labels["thread"] = message.thread
        said = {"summary": message.subject, "description": message.text}
        return [_alert(message, labels, said, message.time, ends, message.link)]
    return [_of_sensor(message, _NAMES[message.kind], member, ends) for member in members]


def _of_sensor(message: Message, name: str, member: Mapping[str, Any], ends: int) -> Alert:
    mac, site = member["mac"], member["site"]
    labels = {_label(key): value for key, value in sorted(member["labels"].items())}
    labels.setdefault("severity", "critical")
    labels |= {"alertname": name, "mac": mac, "name": member["name"] or "", "site": site or ""}
    who = (member["name"] or mac) + (f" at {site}" if site else "")
    annotations = {
        "summary": f"{who} {_SAID[name]}",
        "description": _evidence(member),
        "last_seen": member["last_seen"],
    }
    link = message.link
    if not link.endswith(mac):  # it leads to all sensors
        link += f"sensors/{mac}"
    return _alert(message, labels, annotations, parse_time(member["opened_at"]), ends, link)


def _end(message: Message, member: Mapping[str, Any]) -> int:
    """When it came back, or else was found to be no silence any more."""
    back = member["recovered_at"]
    ends = message.time if back is None else parse_time(back)
    # Without a moment between start and end it would be refused.
    return max(ends, parse_time(member["opened_at"]) + SECOND)


def _evidence(member: Mapping[str, Any]) -> str:
    usual = member["usual_interval_seconds"]
    return (
        f"Last seen {member['last_seen']}; threshold {member['threshold_seconds']:g} s"
        + ("" if usual is None else f"; usually reports every {usual:g} s")
        + ("" if member["proven"] else "; presumed down, because monitoring was interrupted")
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
    """A sensor's label as Prometheus allows it: letters, digits, underscores; not one of ours."""
    valid = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    plain = valid not in _OWN and re.match(r"[a-zA-Z]|_[^_]", valid)
    return valid if plain else f"label_{valid}"
