"""The history of sensors in the API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.model import DAY, HOUR, MINUTE, Heartbeat, format_time
from monitor.store.sqlite import SqliteStore
from tests.analysis.past import MAC, Past
from tests.cases import Cases
from tests.conftest import RETENTION
from tests.states import new_state
from tests.store.beats import NOW
from tests.web.api_client import Api, apis

SENSOR = "/sensors/02:00:00:00:00:0a"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    engine = new_state(tmp_path / "state.db")
    yield engine
    engine.dispose()


@pytest.fixture
def past(state: Engine, tmp_path: Path) -> Iterator[Past]:
    store = SqliteStore(tmp_path / "beats.sqlite", RETENTION, writable=True)
    store.migrate()
    yield Past(store, state)
    store.close()


@pytest.fixture
def viewer(past: Past) -> Api:
    return apis(past.state, clock=past.clock, history=past.history())["viewer"]


def test_sparklines_of_many_sensors_are_in_one_response(past: Past, viewer: Api) -> None:
    past.beats(range(NOW - HOUR, NOW, 10 * MINUTE))
    body = viewer.call("GET", "/sparklines?macs=02000000000a,02-00-00-00-00-0B").get_json()
    assert body["every_seconds"] == 1800
    assert body["start"] == format_time(NOW + 30 * MINUTE - DAY)
    assert body["beats"] == {
        "02:00:00:00:00:0a": [0] * 45 + [3, 3, 0],
        "02:00:00:00:00:0b": [0] * 48,
    }
    hours = viewer.call("GET", "/sparklines?macs=02000000000a&hours=4").get_json()
    assert hours["every_seconds"] == 300
    assert sum(hours["beats"]["02:00:00:00:00:0a"]) == 6


def test_two_hundred_sensors_fit_in_a_request_line(viewer: Api) -> None:
    macs = [f"{mac:012x}" for mac in range(200)]
    path = f"/sparklines?hours=24&macs={','.join(macs)}"
    assert len(f"GET /api/v1{path} HTTP/1.1\r\n") < 4094
    assert len(viewer.call("GET", path).get_json()["beats"]) == 200
    assert viewer.refused(400, "GET", f"{path},0200000000ff")[0] == "macs"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/sparklines", "macs"),
        ("/sparklines?macs=nonsense", "macs"),
        ("/sparklines?macs=&hours=0", "hours"),
        ("/sparklines?macs=&hours=999", "hours"),
        (f"{SENSOR}/history?from=yesterday", "from"),
        (f"{SENSOR}/history?to=2026-11-23T03:42:00", "to"),
        (f"{SENSOR}/history?from=2026-11-23T03:42:00Z&to=2026-11-23T03:42:00Z", "from"),
        (f"{SENSOR}/history?from=2024-11-23T03:42:00Z&to=2026-11-23T03:42:00Z", "from"),
        (f"{SENSOR}/history?points=0", "points"),
        (f"{SENSOR}/history?points=2001", "points"),
        (f"{SENSOR}/history?metrics=a%20b", "metrics"),
        (f"{SENSOR}/history?metrics=a,b,c,d,e", "metrics"),
        (f"{SENSOR}/history?colour=red", "colour"),
        (f"{SENSOR}/heartbeats?limit=0", "limit"),
        (f"{SENSOR}/heartbeats?before=now", "before"),
    ],
)
def test_invalid_parameter_is_refused_and_named(viewer: Api, path: str, field: str) -> None:
    assert viewer.refused(400, "GET", path)[0] == field


@pytest.mark.parametrize("what", ["uptime", "history", "heartbeats"])
def test_unknown_sensor_returns_404(viewer: Api, what: str) -> None:
    for mac in ("02:00:00:00:00:ff", "nonsense"):
        viewer.refused(404, "GET", f"/sensors/{mac}/{what}")


def test_uptime_is_given_in_percent_and_in_seconds_by_kind(past: Past, viewer: Api) -> None:
    past.beats(range(NOW - DAY, NOW - HOUR + 1, 5 * MINUTE))
    past.maintain(NOW - 15 * MINUTE, NOW)
    body = viewer.call("GET", f"{SENSOR}/uptime").get_json()
    assert body["mac_address"] == "02:00:00:00:00:0a"
    assert [span["days"] for span in body["spans"]] == [1, 7, 30, 90]
    assert body["spans"][0] == {
        "days": 1,
        "from": format_time(NOW - DAY),
        "to": format_time(NOW),
        "percent": 96.842,
        "up_seconds": 82_800.0,
        "down_seconds": 2_700.0,
        "unknown_seconds": 0.0,
        "maintenance_seconds": 900.0,
        "paused_seconds": 0.0,
    }


def test_history_has_all_data_of_the_chart(past: Past, viewer: Api) -> None:
    for at in range(NOW - DAY, NOW - 12 * HOUR + 1, 5 * MINUTE):
        past.store.append([Heartbeat(MAC, at, at, True, {"battery": 3.5})])
    past.blind((NOW - 10 * HOUR, NOW - 9 * HOUR))
    cases = Cases(past.state)
    opened = {"last_seen": NOW - 12 * HOUR, "opened_at": NOW - 12 * HOUR + 10 * MINUTE}
    number = cases.incident(MAC, cases.group(), **opened)
    body = viewer.call("GET", f"{SENSOR}/history?points=24&metrics=battery").get_json()
    assert (body["from"], body["to"]) == (format_time(NOW - DAY), format_time(NOW))
    assert (body["start"], body["every_seconds"]) == (body["from"], 3600)
    assert body["beats"] == [12] * 12 + [1] + [0] * 11
    assert body["metrics"]["battery"]["mean"] == [3.5] * 13 + [None] * 11
    assert body["metrics"]["battery"].keys() == {"min", "mean", "max"}
    assert body["available_metrics"] == ["battery"]
    assert body["silences"] == [
        {
            "from": format_time(NOW - 12 * HOUR),
            "to": format_time(NOW),
            "over": False,
            "duration_seconds": 43_200.0,
            "verdict": "proven",
            "incident": number,
        }
    ]
    assert [incident["id"] for incident in body["incidents"]] == [number]
    window = {"from": format_time(NOW - 10 * HOUR), "to": format_time(NOW - 9 * HOUR)}
    assert (body["blind"], body["maintenance"], body["paused"]) == ([window], [], [])


def test_heartbeats_are_paged(past: Past, viewer: Api) -> None:
    past.store.append([Heartbeat(MAC, NOW - HOUR, NOW, False, {"battery": 3.5})])
    past.beats([NOW - MINUTE, NOW])
    page = viewer.call("GET", f"{SENSOR}/heartbeats?limit=2").get_json()
    assert [beat["time"] for beat in page["heartbeats"]] == [
        format_time(NOW),
        format_time(NOW - MINUTE),
    ]
    last = viewer.call("GET", f"{SENSOR}/heartbeats?before={page['next_before']}").get_json()
    assert last["next_before"] is None
    assert last["heartbeats"] == [
        {
            "time": format_time(NOW - HOUR),
            "received": format_time(NOW),
            "live": False,
            "metrics": {"battery": 3.5},
        }
    ]


def test_history_requires_the_role_viewer(past: Past) -> None:
    called = apis(past.state, clock=past.clock, history=past.history())
    for path in ("/sparklines?macs=", *(f"{SENSOR}/{x}" for x in ("uptime", "history"))):
        called["ingest"].refused(403, "GET", path)
        assert called["administrator"].call("GET", path).status_code == 200
