"""The registry of sensors: rows of `sensor`, read by version so that copies stay cheap."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, func, insert, select, update

from monitor.state import pauses
from monitor.state.database import GREATEST, database_now, in_chunks, in_pages
from monitor.state.tables import sensor, service


class Sensor(NamedTuple):
    """One registered sensor; `threshold` in ms, None for the service's default.

    `forgotten_at` makes it a tombstone: only a later heartbeat brings the sensor back.
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


_COLUMNS = (
    sensor.c.mac,
    sensor.c.name,
    sensor.c.site,
    sensor.c.labels,
    sensor.c.threshold,
    sensor.c.live,
    sensor.c.paused,
    sensor.c.forgotten_at,
    sensor.c.version,
)


def current_version(connection: Connection) -> int:
    """The version of the newest change to a sensor or an incident."""
    return int(connection.execute(select(service.c.version)).scalar_one())


def newest_change(connection: Connection) -> int:
    """The version of the newest change to a sensor; 0: there are none."""
    return int(connection.execute(select(func.max(sensor.c.version))).scalar_one() or 0)


def next_version(connection: Connection) -> int:
    """A version for the changes of this transaction; concurrent transactions wait here, so
    versions become visible in order."""
    connection.execute(update(service).values(version=service.c.version + 1))
    return current_version(connection)


def newer(engine: Engine, version: int) -> Iterator[Sensor]:
    """Sensors changed after `version`, forgotten ones included (as tombstones); after 0 all that
    are there. Some of them may be newer than others: read the current version first.

    Raises StateUnavailable.
    """
    query = select(*_COLUMNS)
    if version <= 0:
        query = query.where(sensor.c.forgotten_at.is_(None))
    keys = sensor.c.version, sensor.c.mac
    return (Sensor(*row) for row in in_pages(engine, query, keys, (version, GREATEST)))


def find(connection: Connection, mac: int) -> Sensor | None:
    """One sensor, forgotten ones included."""
    row = connection.execute(select(*_COLUMNS).where(sensor.c.mac == mac)).one_or_none()
    return Sensor(*row) if row else None


def first_seen(connection: Connection, mac: int) -> int | None:
    """When a sensor was heard first, as far as the registry knows (ms)."""
    return connection.scalar(select(sensor.c.first_seen).where(sensor.c.mac == mac))


def register(
    connection: Connection,
    heard: Iterable[tuple[int, int | None, bool]],
    version: int,
    site_of: Callable[[int], str | None] = lambda _mac: None,
) -> None:
    """Write (mac, first seen, live) for macs that are new, forgotten, or live for the first time.

    The caller holds a copy of the registry and names no others. `site_of` gives the site of new
    ones.
    """
    heard = list(heard)
    rows = [
        {"key": mac, "first_seen": first_seen, "live": live, "version": version}
        for mac, first_seen, live in heard
    ]
    if not rows:
        return
    refreshed = (
        update(sensor)
        .where(sensor.c.mac == bindparam("key"))
        .values(
            live=bindparam("live"),
            version=bindparam("version"),
            forgotten_at=None,
            first_seen=func.coalesce(sensor.c.first_seen, bindparam("first_seen")),
        )
    )
    known: set[int] = set()
    for start in range(0, len(rows), 500):
        macs = [row["key"] for row in rows[start : start + 500]]
        known.update(connection.scalars(select(sensor.c.mac).where(sensor.c.mac.in_(macs))))
    if known:
        connection.execute(refreshed, [row for row in rows if row["key"] in known])
    new = [
        _row(row) | {"site": site_of(mac)}
        for row, (mac, _, _) in zip(rows, heard, strict=True)
        if mac not in known
    ]
    if new:
        connection.execute(insert(sensor), new)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name != "key"}
    return {"mac": row["key"], "labels": {}, "paused": False, **values}


def place(connection: Connection, sites: Mapping[int, str], version: int) -> None:
    """Give sensors without a site the one named: mac -> site."""
    if sites:
        connection.execute(
            update(sensor)
            .where(sensor.c.mac == bindparam("key"), sensor.c.site.is_(None))
            .values(site=bindparam("new_site"), version=version),
            [{"key": mac, "new_site": site} for mac, site in sites.items()],
        )


def configure(connection: Connection, mac: int, version: int, **values: Any) -> None:
    """Set name, site, labels, threshold (ms) or paused of one sensor, registering it if new."""
    configure_all(connection, {mac: values}, version)


def configure_all(
    connection: Connection, changes: Mapping[int, Mapping[str, Any]], version: int
) -> None:
    """`configure` of many: mac -> what to set, in few statements."""
    known: set[int] = set()
    for macs in in_chunks(changes):
        known.update(connection.scalars(select(sensor.c.mac).where(sensor.c.mac.in_(macs))))
    new = [_row({"key": mac, "live": False, "version": version}) for mac in changes.keys() - known]
    if new:
        connection.execute(insert(sensor), new)
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for mac, values in changes.items():
        given = {f"new_{name}": value for name, value in values.items()}
        alike[tuple(values)].append({"key": mac, **given})
    for names, rows in alike.items():
        values = {name: bindparam(f"new_{name}") for name in names}
        changed = update(sensor).where(sensor.c.mac == bindparam("key"))
        connection.execute(changed.values(version=version, forgotten_at=None, **values), rows)
    for mark, of_pause in ((True, pauses.begin), (False, pauses.end)):
        of_pause(connection, [mac for mac, given in changes.items() if given.get("paused") is mark])


def forget(connection: Connection, mac: int, version: int) -> None:
    """Make a sensor a tombstone: only a heartbeat that is received later brings it back."""
    configure(connection, mac, version, paused=False)
    gone = update(sensor).where(sensor.c.mac == mac)
    connection.execute(gone.values(forgotten_at=database_now(connection)))
