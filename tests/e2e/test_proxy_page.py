"""A proxy page answers instead of InfluxDB: heartbeats stay in the WAL and are stored later."""

import time
from pathlib import Path

import requests

from monitor.model import DAY, format_mac
from monitor.store.influxdb import InfluxStore
from tests.influxd.proxy import InterceptingProxy
from tests.influxd.server import Access
from tests.service import Service
from tests.waiting import eventually

MACS = range(0x020000000000, 0x020000000014)


def test_heartbeats_answered_by_a_proxy_page_stay_in_the_wal(
    tmp_path: Path, influxdb: Access
) -> None:
    since = time.time_ns() // 1_000_000
    buckets = {"heartbeats": f"beats-{since}", "arrivals": f"arrivals-{since}"}
    with InterceptingProxy(influxdb.url) as proxy:
        variables = {
            "INFLUXDB_V2_URL": proxy.url,
            "INFLUXDB_V2_ORG": influxdb.org,
            "INFLUXDB_V2_TOKEN": influxdb.token,
            "MONITOR_STORE_HEARTBEATS_BUCKET": buckets["heartbeats"],
            "MONITOR_STORE_ARRIVALS_BUCKET": buckets["arrivals"],
        }
        with Service(tmp_path, **variables) as service:
            service.ready()
            for place, trick in enumerate(("a page with 200", "a page with 400")):
                proxy.trick, proxy.tricked = trick, 0
                for mac in MACS[place::2]:
                    service.beat(format_mac(mac))
                eventually(lambda: proxy.tricked > 3, 20)
            eventually(lambda: requests.get(f"{service.url}/readyz", timeout=5).status_code == 503)
            proxy.trick = None
            store = InfluxStore(*influxdb, buckets["heartbeats"], buckets["arrivals"], DAY)
            stored = eventually(
                lambda: len(seen := store.last_seen(since)) == len(MACS) and seen, 30
            )
            store.close()
    assert stored.keys() == set(MACS)
    assert not (tmp_path / "data" / "dead-letters.ndjson").exists()
