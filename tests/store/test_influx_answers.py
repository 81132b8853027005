"""Only answers of InfluxDB itself count, not those of a proxy in between."""

from collections.abc import Iterator

import pytest

from monitor.store.influxdb import InfluxStore
from monitor.store.interface import StoreUnavailable
from tests.conftest import influx_store
from tests.influxd.proxy import TRICKS, InterceptingProxy
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
def proxy(influxdb: Access) -> Iterator[InterceptingProxy]:
    with InterceptingProxy(influxdb.url) as made:
        yield made


@pytest.fixture
def store(influxdb: Access, proxy: InterceptingProxy) -> Iterator[InfluxStore]:
    made = influx_store(influxdb._replace(url=proxy.url))
    yield made
    made.close()


@pytest.mark.parametrize("trick", TRICKS)
def test_answer_of_a_proxy_raises_store_unavailable(
    store: InfluxStore, proxy: InterceptingProxy, trick: str
) -> None:
    store.append([live(1, NOW), live(2, NOW)])
    proxy.trick = trick
    for name in CALLS.keys() - UNCHANGED.get(trick, set()):
        tricked = proxy.tricked
        with pytest.raises(StoreUnavailable):
            pytest.fail(f"{name} returns {CALLS[name](store)!r}")
        assert proxy.tricked > tricked
    proxy.trick = None
    store.append([live(3, NOW)])
    assert stored(store, 3) == [live(3, NOW)]


def test_heartbeats_answered_by_a_proxy_page_are_not_refused_permanently(
    store: InfluxStore, proxy: InterceptingProxy
) -> None:
    beats = [live(mac, NOW) for mac in range(8)]
    for trick in ("a page with 400", "a page with 413"):
        proxy.trick = trick
        with pytest.raises(StoreUnavailable, match="something other than InfluxDB"):
            store.append(beats)
    proxy.trick = None
    store.append(beats)
    assert stored(store, *range(8)) == beats
