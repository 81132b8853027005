"""Lists of registered sensors, found by a text: in pages, or all."""

import re
from collections.abc import Iterable, Iterator

from sqlalchemy import ColumnElement, Connection, Engine, String, func, or_, select

from monitor.state.database import in_chunks, in_pages
from monitor.state.sensors import Sensor
from monitor.state.tables import sensor

_SEPARATORS = re.compile(r"[:.\-]")
_PART_OF_MAC = re.compile(r"[0-9a-f]{2,12}")

_SENSOR = select(*(sensor.c[name] for name in Sensor._fields))
_NOT_FORGOTTEN = sensor.c.forgotten_at.is_(None)


def page(connection: Connection, text: str, most: int, skipped: int) -> list[Sensor]:
    """One page of the sensors found, by name; those without a name are last, by MAC."""
    order = (sensor.c.name.is_(None), sensor.c.name, sensor.c.mac)
    # To sort only keys takes half as long as to sort whole rows, most of which are skipped.
    keys = select(sensor.c.mac).where(_NOT_FORGOTTEN, *conditions(connection, text))
    macs = keys.order_by(*order).limit(most).offset(skipped)
    rows = connection.execute(_SENSOR.where(sensor.c.mac.in_(macs)).order_by(*order))
    return [Sensor(*row) for row in rows]


def count(connection: Connection, text: str) -> int:
    """The number of sensors found."""
    query = (
        select(func.count())
        .select_from(sensor)
        .where(_NOT_FORGOTTEN, *conditions(connection, text))
    )
    return int(connection.execute(query).scalar_one())


def found(connection: Connection, text: str) -> list[Sensor]:
    """All sensors found, in no order."""
    query = _SENSOR.where(_NOT_FORGOTTEN, *conditions(connection, text))
    return [Sensor(*row) for row in connection.execute(query)]


def of(connection: Connection, macs: Iterable[int]) -> dict[int, Sensor]:
    """mac -> sensor, for the registered ones among these, with forgotten ones."""
    rows: dict[int, Sensor] = {}
    for some in in_chunks(macs):
        for row in connection.execute(_SENSOR.where(sensor.c.mac.in_(some))):
            rows[row.mac] = Sensor(*row)
    return rows


def every(engine: Engine) -> Iterator[Sensor]:
    """All sensors, by MAC, without a transaction between pages. Raises StateUnavailable."""
    query = _SENSOR.where(_NOT_FORGOTTEN)
    return (Sensor(*row) for row in in_pages(engine, query, (sensor.c.mac,), (-1,)))


def conditions(connection: Connection, text: str) -> list[ColumnElement[bool]]:
    """Conditions on `sensor`: each word is in the name, the site or the MAC in any format."""
    return [_contains(connection, word) for word in text.replace("\0", "").split()]


def _contains(connection: Connection, word: str) -> ColumnElement[bool]:
    places = [column.icontains(word, autoescape=True) for column in (sensor.c.name, sensor.c.site)]
    digits = _SEPARATORS.sub("", word.lower())
    if _PART_OF_MAC.fullmatch(digits):
        places.append(_hexadecimal(connection).contains(digits))
    return or_(*places)


def _hexadecimal(connection: Connection) -> ColumnElement[str]:
    """The twelve hexadecimal digits of the MAC."""
    if connection.dialect.name == "sqlite":
        return func.printf("%012x", sensor.c.mac, type_=String())
    return func.lpad(func.to_hex(sensor.c.mac), 12, "0", type_=String())
