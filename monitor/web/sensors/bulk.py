"""Changing many sensors in one transaction, with what the audit trail tells of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from monitor.incidents import sensor_fields
from monitor.model import format_mac
from monitor.outbox.wording import number
from monitor.state import audit, sensors
from monitor.state.sensors import Sensor

MOST_TOLD = 1_000
"""Of more changes than this, the trail tells only how many there were."""

ACTIONS = {
    "site": "Set the site",
    "threshold": "Set the threshold",
    "label": "Add a label",
    "unlabel": "Remove a label",
    "pause": "Pause",
    "resume": "Resume",
}

_NOTHING = {"labels": {}, "paused": False}
"""What a new sensor has, where that is not None."""


def wanted(action: str, text: str) -> Callable[[Sensor], dict[str, Any]]:
    """What one of ACTIONS sets, for each sensor it is asked for; `text` is what it is set to.

    Raises ValueError with a sentence, without its full stop.
    """
    if action == "site":
        site = sensor_fields.words("site", text)
        return lambda _row: {"site": site}
    if action == "threshold":
        threshold = sensor_fields.threshold(text)
        return lambda _row: {"threshold": threshold}
    if action == "label":
        added = sensor_fields.labels([text])
        if not added:
            raise ValueError(f"The label {text.strip()[:60]!r} must look like floor=3")
        return lambda row: {"labels": {**row.labels, **added}}
    if action == "unlabel":
        gone = text.strip()
        if not gone:
            raise ValueError("Enter the name of the label")
        return lambda row: {"labels": {k: v for k, v in row.labels.items() if k != gone}}
    if action in ("pause", "resume"):
        return lambda _row: {"paused": action == "pause"}
    raise ValueError("Choose what to change")


def differing(
    rows: Iterable[Sensor], wanted: Callable[[Sensor], dict[str, Any]]
) -> dict[int, dict[str, Any]]:
    """mac -> what is wanted of it, where that is not so already."""
    changes = {row.mac: (row, wanted(row)) for row in rows}
    return {
        mac: values
        for mac, (row, values) in changes.items()
        if any(getattr(row, name) != value for name, value in values.items())
    }


def differences(old: Sensor | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """For the audit trail; None: the sensor is new."""
    before = {name: getattr(old, name) if old else _NOTHING.get(name) for name in values}
    return audit.differences(before, values)


def apply(
    connection: Connection,
    who: str,
    what: str,
    known: Mapping[int, Sensor],
    changes: Mapping[int, Mapping[str, Any]],
    version: int,
    detail: Mapping[str, Any],
) -> None:
    """Write `changes` of sensors that are `known` as they are (others are new).

    The caller took `version` before it read them. The trail gets one entry for all, called `what`
    and with this detail, and one for each sensor unless there are too many.
    """
    sensors.configure_all(connection, changes, version)
    if len(changes) <= MOST_TOLD:
        for mac, values in changes.items():
            told = differences(known.get(mac), values)
            audit.record(connection, who, "sensor changed", format_mac(mac), told)
    count = f"{len(changes)} sensor{'' if len(changes) == 1 else 's'}"
    audit.record(connection, who, what, count, detail)


def counted(count: int) -> str:
    """The beginning of a sentence."""
    return f"{number(count)} sensor{' is' if count == 1 else 's are'}"
