"""Registered sensors as they are listed: found by a text, a page at a time, or all in turn."""

import re
from collections.abc import Iterable, Iterator

from sqlalchemy import ColumnElement, Connection, Engine, String, func, or_, select

from monitor.state.database import in_chunks, in_pages
from monitor.state.sensors import Sensor
from monitor.state.tables import sensor

_SEPARATORS = re.compile(r"[:.\-]")
_PART_OF_MAC = re.compile(r"[0-9a-f]{2,12}")

_SENSOR = select(*(sensor.c[name] for name in Sensor._fields))
_THERE = sensor.c.forgotten_at.is_(None)


def page(connection: Connection, text: str, most: int, skipped: int) -> list[Sensor]:
    """Those found, by name; those without one come last, by MAC."""
    query = _SENSOR.where(_THERE, *holding(connection, text))
    ordered = query.order_by(sensor.c.name.is_(None), sensor.c.name, sensor.c.mac)
    return [Sensor(*row) for row in connection.execute(ordered.limit(most).offset(skipped))]


def count(connection: Connection, text: str) -> int:
    """How many are found."""
    query = select(func.count()).select_from(sensor).where(_THERE, *holding(connection, text))
    return int(connection.execute(query).scalar_one())


def found(connection: Connection, text: str) -> list[Sensor]:
    """All that are found, in no order."""
    query = _SENSOR.where(_THERE, *holding(connection, text))
    return [Sensor(*row) for row in connection.execute(query)]


def of(connection: Connection, macs: Iterable[int]) -> dict[int, Sensor]:
    """By mac, those of these that are registered, forgotten ones included."""
    rows: dict[int, Sensor] = {}
    for some in in_chunks(macs):
        for row in connection.execute(_SENSOR.where(sensor.c.mac.in_(some))):
            rows[row.mac] = Sensor(*row)
    return rows


def every(engine: Engine) -> Iterator[Sensor]:
    """All, by MAC; nothing is locked while the caller uses them. Raises StateUnavailable."""
    query = _SENSOR.where(_THERE)
    return (Sensor(*row) for row in in_pages(engine, query, (sensor.c.mac,), (-1,)))


def holding(connection: Connection, text: str) -> list[ColumnElement[bool]]:
    """Conditions on `sensor`: each word is in the name, the site or the MAC in any spelling."""
    return [_holds(connection, word) for word in text.replace("\0", "").split()]


def _holds(connection: Connection, word: str) -> ColumnElement[bool]:
    places = [column.icontains(word, autoescape=True) for column in (sensor.c.name, sensor.c.site)]
    digits = _SEPARATORS.sub("", word.lower())
    if _PART_OF_MAC.fullmatch(digits):
        places.append(_hexadecimal(connection).contains(digits))
    return or_(*places)


def _hexadecimal(connection: Connection) -> ColumnElement[str]:
    """The twelve digits of the MAC."""
    if connection.dialect.name == "sqlite":
        return func.printf("%012x", sensor.c.mac, type_=String())
    return func.lpad(func.to_hex(sensor.c.mac), 12, "0", type_=String())
