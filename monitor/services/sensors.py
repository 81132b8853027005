"""Sensors: changes one or many at a time."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from monitor.errors import Invalid
from monitor.incidents import sensor_fields
from monitor.model import format_mac
from monitor.state import audit, sensor_list, sensors
from monitor.state.database import reading, writing
from monitor.state.sensors import Sensor

MOST_LISTED = 1_000
"""The most sensors of one change that the audit trail lists."""

ACTIONS = {
    "site": "Set the site",
    "threshold": "Set the threshold",
    "label": "Add a label",
    "unlabel": "Remove a label",
    "pause": "Pause",
    "resume": "Resume",
}
"""Changes of many sensors at a time, as forms show them."""

_DEFAULTS = {"labels": {}, "paused": False}
"""Values of a new sensor that are not None."""

Edit = Callable[[Sensor], dict[str, Any]]
"""sensor -> what to set."""


class Changed(NamedTuple):
    """Numbers of sensors that a change applied to."""

    changed: int
    unchanged: int


def find(engine: Engine, mac: int) -> Sensor | None:
    """Returns a sensor, even a forgotten one. None: it is not registered."""
    with reading(engine) as connection:
        return sensors.find(connection, mac)


def change(
    engine: Engine,
    actor: str,
    mac: int,
    values: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
) -> None:
    """Sets name, site, threshold (ms), labels or paused of a sensor; registers a new sensor.

    "labels" in `values` replaces all labels. `labels` sets some and keeps the others; an empty
    value removes a label.
    """
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        old = sensors.find(connection, mac)
        wanted = dict(values)
        if labels:
            wanted["labels"] = sensor_fields.merged(old.labels if old else {}, labels)
        sensors.configure(connection, mac, version, **wanted)
        detail = differences(old, wanted)
        if detail or old is None or old.forgotten_at is not None:
            audit.record(connection, actor, "sensor changed", format_mac(mac), detail)


def forget(engine: Engine, actor: str, mac: int) -> None:
    """Removes a sensor from the fleet. A later heartbeat registers it again."""
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        old = sensors.find(connection, mac)
        sensors.forget(connection, mac, version)
        detail = {"name": old.name, "site": old.site} if old else {}
        audit.record(connection, actor, "sensor removed", format_mac(mac), detail)


def change_many(
    engine: Engine,
    actor: str,
    action: str,
    text: str,
    macs: Collection[int] | None,
    query: str = "",
) -> Changed:
    """Applies one of ACTIONS to these registered sensors. `macs` None: to all that `query` finds.

    `text`: the new value. Raises Invalid.
    """
    edit = _edit(action, text)
    if macs is not None and not macs:
        raise Invalid("mac", "must include at least one sensor")
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        if macs is None:
            known = {row.mac: row for row in sensor_list.found(connection, query)}
        else:
            known = sensor_list.of(connection, macs)
        registered = [row for row in known.values() if row.forgotten_at is None]
        changes = _differing(registered, edit)
        if changes:
            shown = {"done": ACTIONS[action], "to": text.strip()}
            detail = {name: value for name, value in shown.items() if value}
            apply(connection, actor, "sensors changed", known, changes, version, detail)
    return Changed(len(changes), len(registered) - len(changes))


def apply(
    connection: Connection,
    actor: str,
    what: str,
    known: Mapping[int, Sensor],
    changes: Mapping[int, Mapping[str, Any]],
    version: int,
    detail: Mapping[str, Any],
) -> None:
    """Writes `changes` (by MAC address). `known`: the current sensors; others are new.

    The caller took `version` before it read them. Writes one audit row `what` with this detail, and
    one for each sensor unless there are too many.
    """
    sensors.configure_all(connection, changes, version)
    if len(changes) <= MOST_LISTED:
        for mac, values in changes.items():
            changed = differences(known.get(mac), values)
            audit.record(connection, actor, "sensor changed", format_mac(mac), changed)
    count = f"{len(changes)} sensor{'' if len(changes) == 1 else 's'}"
    audit.record(connection, actor, what, count, detail)


def differences(old: Sensor | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """What `values` change of a sensor, for the audit trail. `old` None: a new sensor."""
    before = {name: getattr(old, name) if old else _DEFAULTS.get(name) for name in values}
    return audit.differences(before, values)


def _edit(action: str, text: str) -> Edit:
    if action == "site":
        site = sensor_fields.words("site", text)
        return lambda _row: {"site": site}
    if action == "threshold":
        threshold = sensor_fields.threshold(text)
        return lambda _row: {"threshold": threshold}
    if action == "label":
        if not text.strip():
            raise Invalid("labels", "must look like floor=3")
        name, value = sensor_fields.label(text)
        return lambda row: {"labels": sensor_fields.merged(row.labels, {name: value})}
    if action == "unlabel":
        if not text.strip():
            raise Invalid("labels", "must be the name of a label")
        return lambda row: {"labels": sensor_fields.merged(row.labels, {text.strip(): ""})}
    if action in ("pause", "resume"):
        return lambda _row: {"paused": action == "pause"}
    raise Invalid("action", "must be one of the options")


def _differing(rows: Iterable[Sensor], edit: Edit) -> dict[int, dict[str, Any]]:
    """MAC address -> what to set, of the sensors that `edit` changes."""
    changes = {row.mac: (row, edit(row)) for row in rows}
    return {
        mac: values
        for mac, (row, values) in changes.items()
        if any(getattr(row, name) != value for name, value in values.items())
    }
