"""Public pages and the keys in their links."""

import re

import pytest
from sqlalchemy import Engine

from monitor.errors import Invalid
from monitor.state import public_pages, sensors
from monitor.state.database import reading, writing
from monitor.state.public_pages import PublicPage


def add(state: Engine, title: str = "Plants", sites: list[str] | None = None) -> PublicPage:
    with writing(state) as connection:
        number = public_pages.add(connection, title, sites, True, 1_000)
        page = public_pages.get(connection, number)
    assert page is not None
    return page


def find(state: Engine, key: str) -> PublicPage | None:
    with reading(state) as connection:
        return public_pages.find(public_pages.listed(connection), key)


def test_page_is_found_only_by_its_key(state: Engine) -> None:
    one, other = add(state, " North ", ["b", "a"]), add(state)
    assert one == PublicPage(one.id, "North", ["a", "b"], True, one.key, 1_000)
    assert other.sites is None
    assert find(state, one.key) == one
    assert find(state, other.key) == other
    for wrong in ("", one.key[:-1], one.key + "x", one.key.swapcase(), "\ud800", "ä" * 22):
        assert find(state, wrong) is None


def test_keys_are_random_and_url_safe(state: Engine) -> None:
    keys = {add(state).key for _ in range(20)}
    assert len(keys) == 20
    assert all(re.fullmatch(r"[\w-]{22}", key, re.ASCII) for key in keys)


def test_new_link_invalidates_the_old_one(state: Engine) -> None:
    page, other = add(state), add(state)
    with writing(state) as connection:
        public_pages.renew_key(connection, page.id)
        renewed = public_pages.get(connection, page.id)
    assert renewed is not None
    assert find(state, page.key) is None
    assert find(state, renewed.key) == page._replace(key=renewed.key)
    assert find(state, other.key) == other


def test_changing_a_page_keeps_its_link(state: Engine) -> None:
    page = add(state, sites=["a"])
    with writing(state) as connection:
        public_pages.change(connection, page.id, "All", None, False)
    assert find(state, page.key) == page._replace(title="All", sites=None, names=False)


def test_removed_page_is_not_found(state: Engine) -> None:
    page, other = add(state), add(state)
    with writing(state) as connection:
        public_pages.remove(connection, page.id)
        assert public_pages.get(connection, page.id) is None
        assert public_pages.listed(connection) == [other]
    assert find(state, page.key) is None


@pytest.mark.parametrize(
    ("title", "sites", "field"),
    [
        ("", None, "title"),
        (" ", None, "title"),
        ("x" * 101, None, "title"),
        ("a\nb", None, "title"),
        ("Nothing", [], "sites"),
    ],
)
def test_invalid_page_is_refused(
    state: Engine, title: str, sites: list[str] | None, field: str
) -> None:
    page = add(state)
    with writing(state) as connection:
        with pytest.raises(Invalid) as added:
            public_pages.add(connection, title, sites, True, 0)
        with pytest.raises(Invalid) as changed:
            public_pages.change(connection, page.id, title, sites, True)
        assert (added.value.field, changed.value.field) == (field, field)
        assert public_pages.listed(connection) == [page]


def test_sites_offered_exclude_those_of_forgotten_sensors(state: Engine) -> None:
    with writing(state) as connection:
        version = sensors.next_version(connection)
        sensors.register(connection, [(mac, 0, True) for mac in range(1, 6)], version)
        for mac, site in ((1, "North"), (2, "North"), (3, "<b>"), (4, "Gone")):
            sensors.configure(connection, mac, version, site=site)
        sensors.forget(connection, 4, version)
        assert public_pages.sites_to_choose(connection) == ["<b>", "North"]
