"""Only answers of InfluxDB itself count, not those of a proxy in between."""

from collections.abc import Iterator

import pytest

from monitor.store.influxdb import InfluxStore
from monitor.store.interface import StoreUnavailable
from tests.conftest import influx_store
from tests.influxd.between import TRICKS, Between
from tests.influxd.server import Access
from tests.store.beats import NOW, live, stored
from tests.store.test_influxdb import CHORES, QUESTIONS, STATEMENTS

CALLS = QUESTIONS | STATEMENTS | CHORES
WITHOUT_CONTENT = {*STATEMENTS, "forget"}
UNCHANGED = {
    "200 in place of 204": CALLS.keys() - WITHOUT_CONTENT,
    "half an answer": WITHOUT_CONTENT,
}
"""The calls that a trick does not affect."""


@pytest.fixture
def between(influxdb: Access) -> Iterator[Between]:
    with Between(influxdb.url) as made:
        yield made


@pytest.fixture
def store(influxdb: Access, between: Between) -> Iterator[InfluxStore]:
    made = influx_store(influxdb._replace(url=between.url))
    yield made
    made.close()


@pytest.mark.parametrize("trick", TRICKS)
def test_answer_of_a_proxy_raises_store_unavailable(
    store: InfluxStore, between: Between, trick: str
) -> None:
    store.append([live(1, NOW), live(2, NOW)])
    between.trick = trick
    for name in CALLS.keys() - UNCHANGED.get(trick, set()):
        tricked = between.tricked
        with pytest.raises(StoreUnavailable):
            pytest.fail(f"{name} returns {CALLS[name](store)!r}")
        assert between.tricked > tricked
    between.trick = None
    store.append([live(3, NOW)])
    assert stored(store, 3) == [live(3, NOW)]


def test_heartbeats_answered_by_a_proxy_page_are_not_refused_permanently(
    store: InfluxStore, between: Between
) -> None:
    beats = [live(mac, NOW) for mac in range(8)]
    for trick in ("a page with 400", "a page with 413"):
        between.trick = trick
        with pytest.raises(StoreUnavailable, match="something other than InfluxDB"):
            store.append(beats)
    between.trick = None
    store.append(beats)
    assert stored(store, *range(8)) == beats
