"""Registered sensors: rows of `sensor`. Copies are updated by version, so that this is cheap."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, func, insert, select, update

from monitor.state import pauses, refusals
from monitor.state.database import GREATEST, database_now, in_chunks, in_pages
from monitor.state.tables import sensor, service


class Sensor(NamedTuple):
    """One registered sensor; `threshold` in ms, None for the default.

    If `forgotten_at` is set, it is a tombstone: only a later heartbeat registers it again.
    """

    mac: int
    name: str | None
    site: str | None
    labels: dict[str, str]
    threshold: int | None
    live: bool
    paused: bool
    forgotten_at: int | None
    version: int
    monitored_since: int | None = None
    """When a user last resumed it, or added it again after it was removed (ms)."""


_COLUMNS = tuple(sensor.c[name] for name in Sensor._fields)


def current_version(connection: Connection) -> int:
    """The version of the newest change to a sensor or an incident."""
    return int(connection.execute(select(service.c.version)).scalar_one())


def newest_change(connection: Connection) -> int:
    """The version of the newest change to a sensor; 0 if there are no sensors."""
    return int(connection.execute(select(func.max(sensor.c.version))).scalar_one() or 0)


def next_version(connection: Connection) -> int:
    """A new version for the changes of this transaction. Other transactions wait here until it
    ends, so versions become visible in order."""
    connection.execute(update(service).values(version=service.c.version + 1))
    return current_version(connection)


def newer(engine: Engine, version: int) -> Iterator[Sensor]:
    """Sensors changed after `version`, with tombstones; for 0, all sensors without tombstones.

    Read the current version first: changes may be committed while the rows are read.

    Raises StateUnavailable.
    """
    query = select(*_COLUMNS)
    if version <= 0:
        query = query.where(sensor.c.forgotten_at.is_(None))
    keys = sensor.c.version, sensor.c.mac
    return (Sensor(*row) for row in in_pages(engine, query, keys, (version, GREATEST)))


def find(connection: Connection, mac: int) -> Sensor | None:
    """One sensor, which may be forgotten; None if it was never registered."""
    row = connection.execute(select(*_COLUMNS).where(sensor.c.mac == mac)).one_or_none()
    return Sensor(*row) if row else None


def first_seen(connection: Connection, mac: int) -> int | None:
    """The time of a sensor's first heartbeat (ms), if known."""
    return connection.scalar(select(sensor.c.first_seen).where(sensor.c.mac == mac))


def register(
    connection: Connection,
    seen: Iterable[tuple[int, int | None, bool]],
    version: int,
    site_of: Callable[[int], str | None] = lambda _mac: None,
) -> None:
    """Registers sensors that are new, forgotten, or live for the first time.

    `seen`: (mac, first seen, live). `site_of` returns the site of a new sensor.
    """
    seen = list(seen)
    rows = [
        {"key": mac, "first_seen": first_seen, "live": live, "version": version}
        for mac, first_seen, live in seen
    ]
    if not rows:
        return
    renewal = (
        update(sensor)
        .where(sensor.c.mac == bindparam("key"))
        .values(
            live=bindparam("live"),
            version=bindparam("version"),
            forgotten_at=None,
            first_seen=func.coalesce(sensor.c.first_seen, bindparam("first_seen")),
        )
    )
    known = _registered(connection, [mac for mac, _, _ in seen])
    if known:
        connection.execute(renewal, [row for row in rows if row["key"] in known])
    new = [
        _row(row) | {"site": site_of(mac)}
        for row, (mac, _, _) in zip(rows, seen, strict=True)
        if mac not in known
    ]
    if new:
        connection.execute(insert(sensor), new)


def _registered(connection: Connection, macs: Iterable[int]) -> set[int]:
    """Those of these macs that have a row, as a sensor or a tombstone."""
    found: set[int] = set()
    for chunk in in_chunks(macs):
        found.update(connection.scalars(select(sensor.c.mac).where(sensor.c.mac.in_(chunk))))
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name != "key"}
    return {"mac": row["key"], "labels": {}, "paused": False, **values}


def place(connection: Connection, sites: Mapping[int, str], version: int) -> None:
    """Sets the site of sensors without one: mac -> site."""
    if sites:
        connection.execute(
            update(sensor)
            .where(sensor.c.mac == bindparam("key"), sensor.c.site.is_(None))
            .values(site=bindparam("new_site"), version=version),
            [{"key": mac, "new_site": site} for mac, site in sites.items()],
        )


def configure(connection: Connection, mac: int, version: int, **values: Any) -> None:
    """Sets name, site, labels, threshold (ms) or paused of a sensor. Registers it if it is new."""
    configure_all(connection, {mac: values}, version)


def configure_all(
    connection: Connection, changes: Mapping[int, Mapping[str, Any]], version: int
) -> None:
    """`configure` for many sensors, in few statements: mac -> the values to set."""
    known = _registered(connection, changes)
    new = [_row({"key": mac, "live": False, "version": version}) for mac in changes.keys() - known]
    if new:
        connection.execute(insert(sensor), new)
    _begin_monitoring(connection, changes)
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for mac, values in changes.items():
        given = {f"new_{name}": value for name, value in values.items()}
        by_columns[tuple(values)].append({"key": mac, **given})
    for names, rows in by_columns.items():
        values = {name: bindparam(f"new_{name}") for name in names}
        changed = update(sensor).where(sensor.c.mac == bindparam("key"))
        connection.execute(changed.values(version=version, forgotten_at=None, **values), rows)
    for mark, of_pause in ((True, pauses.begin), (False, pauses.end)):
        of_pause(connection, [mac for mac, given in changes.items() if given.get("paused") is mark])


def _begin_monitoring(connection: Connection, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Records that sensors which are paused or forgotten are monitored from now on."""
    resumed = [mac for mac, given in changes.items() if given.get("paused") is False]
    for macs, before in ((changes, sensor.c.forgotten_at.is_not(None)), (resumed, sensor.c.paused)):
        for some in in_chunks(macs):
            again = update(sensor).where(sensor.c.mac.in_(some), before)
            connection.execute(again.values(monitored_since=database_now(connection)))


def forget(connection: Connection, mac: int, version: int) -> None:
    """Makes a sensor a tombstone: only a heartbeat received later registers it again."""
    configure(connection, mac, version, paused=False)
    refusals.forget(connection, mac)
    gone = update(sensor).where(sensor.c.mac == mac)
    connection.execute(gone.values(forgotten_at=database_now(connection)))
