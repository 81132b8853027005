"""Public pages: read-only status pages for anyone who has their link."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Engine

from monitor.errors import NotFound
from monitor.state import audit, public_pages
from monitor.state.database import writing
from monitor.state.public_pages import PublicPage


def add(
    engine: Engine, actor: str, title: str, sites: Collection[str] | None, names: bool, now: int
) -> PublicPage:
    """Adds a page. `sites` None: the whole fleet. Raises Invalid."""
    with writing(engine) as connection:
        page = _found(connection, public_pages.add(connection, title, sites, names, now))
        audit.record(connection, actor, "public page created", page.title, _shown(page))
    return page


def change(
    engine: Engine,
    actor: str,
    number: int,
    title: str,
    sites: Collection[str] | None,
    names: bool,
) -> PublicPage:
    """Changes a page; its link stays the same. Raises Invalid, NotFound."""
    with writing(engine) as connection:
        old = _found(connection, number)
        public_pages.change(connection, number, title, sites, names)
        new = _found(connection, number)
        detail = audit.differences(_shown(old), _shown(new))
        audit.record(connection, actor, "public page changed", old.title, detail)
    return new


def renew_link(engine: Engine, actor: str, number: int) -> PublicPage:
    """Gives a page a new link; the old one stops working. Raises NotFound."""
    with writing(engine) as connection:
        page = _found(connection, number)
        public_pages.renew_key(connection, number)
        audit.record(connection, actor, "public page's link replaced", page.title)
    return page


def remove(engine: Engine, actor: str, number: int) -> PublicPage:
    """Removes a page; its link stops working. Raises NotFound."""
    with writing(engine) as connection:
        page = _found(connection, number)
        public_pages.remove(connection, number)
        audit.record(connection, actor, "public page removed", page.title, _shown(page))
    return page


def _found(connection: Connection, number: int) -> PublicPage:
    page = public_pages.get(connection, number, to_change=True)
    if page is None:
        raise NotFound(f"there is no public page {number}")
    return page


def _shown(page: PublicPage) -> dict[str, Any]:
    """The page for the audit trail, without its key, which is a secret."""
    return {"title": page.title, "sites": page.sites, "names": page.names}
