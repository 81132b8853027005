"""Grafana dashboards: every query of every panel returns data from a real InfluxDB."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from time import time_ns
from typing import Any
from uuid import uuid4

import pytest
import requests
import yaml

from monitor.model import MINUTE, Heartbeat
from monitor.store.influxdb import InfluxStore
from monitor.store.interface import CoverageSpan
from tests.conftest import RETENTION
from tests.influxd.server import Access

DASHBOARDS = Path(__file__).parent.parent / "dashboards"
BUCKET = f"dashboards-{uuid4().hex[:12]}"
FILES = sorted(DASHBOARDS.glob("*.json"))
QUERIES: dict[str, str] = {
    f"{file.stem}: {panel['title']} {target['refId']}": target["query"]
    for file in FILES
    for panel in json.loads(file.read_text())["panels"]
    for target in panel["targets"]
}


@pytest.fixture(scope="module")
def store(influxdb: Access) -> Iterator[InfluxStore]:
    """Two sensors with a heartbeat per minute for an hour; one also sends history."""
    store = InfluxStore(*influxdb, BUCKET, f"{BUCKET}-arrivals", RETENTION)
    store.migrate()
    now = time_ns() // 1_000_000
    store.append(
        [
            Heartbeat(mac, now - ago * MINUTE + late, now, live, {"battery": 3.0 + mac})
            for mac, live, late in ((1, True, 0), (2, True, 0), (2, False, 7_000))
            for ago in range(1, 60)
        ]
    )
    store.add_coverage(CoverageSpan("here", now - 60 * MINUTE, now, False))
    yield store
    store.close()


def asked(access: Access, bucket: str, query: str) -> list[dict[str, Any]]:
    """The series that a query returns."""
    filled = (
        query.replace("$timeFilter", "time > now() - 1d")
        .replace("$__interval", "10m")
        .replace("$metric", "m_battery")
    )
    assert "$" not in filled
    answer = requests.get(
        f"{access.url}/query",
        params={"db": bucket, "q": filled},
        headers={"Authorization": f"Token {access.token}"},
        timeout=10,
    )
    (result,) = answer.json()["results"]
    assert "error" not in result
    series: list[dict[str, Any]] = result.get("series", [])
    return series


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_each_query_returns_data(influxdb: Access, store: InfluxStore, query: str) -> None:
    series = asked(influxdb, BUCKET, query)
    values = [row[1] for each in series for row in each["values"]]
    assert any(value not in (None, 0) for value in values)


def test_number_of_reporting_sensors_is_correct(influxdb: Access, store: InfluxStore) -> None:
    (series,) = asked(influxdb, BUCKET, next(iter(QUERIES.values())))
    assert [row[1] for row in series["values"]] == [2]


def test_metric_choices_are_the_metrics_of_the_heartbeats(
    influxdb: Access, store: InfluxStore
) -> None:
    (variable,) = json.loads(FILES[0].read_text())["templating"]["list"]
    (series,) = asked(influxdb, BUCKET, variable["query"])
    pattern = re.compile(variable["regex"].strip("/"))
    assert [row[0] for row in series["values"] if pattern.match(row[0])] == ["m_battery"]


def test_panels_use_the_provisioned_data_source() -> None:
    given = yaml.safe_load((DASHBOARDS / "provisioning/datasources/influxdb.yml").read_text())
    (source,) = given["datasources"]
    for file in FILES:
        for panel in json.loads(file.read_text())["panels"]:
            for part in (panel, *panel["targets"]):
                assert part["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_every_panel_has_a_description_and_none_overlap() -> None:
    for file in FILES:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(file.read_text())["panels"]:
            assert panel["description"]
            place = panel["gridPos"]
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            assert not cells & taken
            taken |= cells
