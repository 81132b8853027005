"""Status pages, visible to all who have the link: rows of `public_page`."""

import hmac
import secrets
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from monitor.errors import Invalid
from monitor.state.access_tables import public_page
from monitor.state.tables import sensor

LONGEST_TITLE = 100


class PublicPage(NamedTuple):
    """One page; the time in ms."""

    id: int
    title: str
    sites: list[str] | None
    """None for the whole fleet."""
    names: bool
    """Whether the page shows names of sensors, or only counts."""
    key: str
    """All who have it can see the page; only administrators can see the key."""
    created_at: int


_ALL = select(*(public_page.c[name] for name in PublicPage._fields)).order_by(public_page.c.id)


def listed(connection: Connection) -> list[PublicPage]:
    """All pages, in the order they were created."""
    return [PublicPage(*row) for row in connection.execute(_ALL)]


def get(connection: Connection, number: int, to_change: bool = False) -> PublicPage | None:
    """The page with this id. `to_change`: locks it until the transaction ends."""
    query = _ALL.where(public_page.c.id == number)
    row = connection.execute(query.with_for_update() if to_change else query).first()
    return None if row is None else PublicPage(*row)


def find(pages: Iterable[PublicPage], key: str) -> PublicPage | None:
    """The page with the key of a link. Takes equally long for all keys of one length."""
    given, found = key.encode("utf-8", "replace"), None
    for page in pages:
        if hmac.compare_digest(page.key.encode(), given):
            found = page
    return found


def add(
    connection: Connection, title: str, sites: Collection[str] | None, names: bool, now: int
) -> int:
    """Adds a page. Returns its id. Raises Invalid."""
    added = insert(public_page).values(
        **_checked(title, sites), names=names, key=_new_key(), created_at=now
    )
    return int(connection.execute(added.returning(public_page.c.id)).scalar_one())


def change(
    connection: Connection, number: int, title: str, sites: Collection[str] | None, names: bool
) -> None:
    """Changes a page, but not its link. Raises Invalid."""
    changed = update(public_page).where(public_page.c.id == number)
    connection.execute(changed.values(**_checked(title, sites), names=names))


def renew_key(connection: Connection, number: int) -> None:
    """Replaces the link. The old one no longer works."""
    connection.execute(update(public_page).where(public_page.c.id == number).values(key=_new_key()))


def remove(connection: Connection, number: int) -> None:
    """Deletes a page. Its link no longer works."""
    connection.execute(delete(public_page).where(public_page.c.id == number))


def sites_to_choose(connection: Connection) -> list[str]:
    """The names of all sites of sensors."""
    there = select(sensor.c.site).where(sensor.c.site.is_not(None), sensor.c.forgotten_at.is_(None))
    return sorted(connection.scalars(there.distinct()))


def _new_key() -> str:
    return secrets.token_urlsafe(16)


def _checked(title: str, sites: Collection[str] | None) -> dict[str, object]:
    title = title.strip()
    if not (0 < len(title) <= LONGEST_TITLE and title.isprintable()):
        raise Invalid("title", f"must be 1 to {LONGEST_TITLE} printable characters")
    if sites is not None and not sites:
        raise Invalid("sites", "must include at least one site, unless the page shows all sensors")
    return {"title": title, "sites": None if sites is None else sorted(sites)}
