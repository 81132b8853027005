"""The page of one sensor."""

import re

import pytest
from flask.testing import FlaskClient

from monitor.analysis.history import UptimeSpan
from monitor.analysis.uptime import Uptime
from monitor.model import DAY, MINUTE, SECOND
from monitor.refusal import UNAUTHORIZED
from monitor.web.grid.fleet import Fleet, SensorEntry
from monitor.web.sensors import uptime_bars
from tests.cases import Cases
from tests.web.fleet_rig import Rig

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MAC = 0x02_00_00_00_00_0A


@pytest.fixture
def client(rig: Rig) -> FlaskClient:
    return rig.build_app().test_client()


def visible_text(page: str) -> str:
    """The visible text of the page."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<main")[2]).split())


def test_page_shows_status_and_settings(rig: Rig, client: FlaskClient) -> None:
    rig.configure(
        MAC, name="Boiler", site="Harbour", threshold=90_000, labels={"floor": "3", "crew": "B"}
    )
    rig.beat(MAC)
    rig.judge()
    page = client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-cache"
    shown = visible_text(page.text)
    assert "Boiler Status up , reported within the threshold Last seen 20" in shown
    assert " UTC , 0 s ago" in shown
    assert "Threshold 1 min 30 s Site Harbour MAC address 02:00:00:00:00:0a crew B floor 3" in shown
    assert "Incidents and messages No incidents yet." in shown
    assert "<title>Boiler up · heartbeat-monitor</title>" in page.text
    assert 'role="alert" hidden' in page.text


@pytest.mark.parametrize("spelling", ["02-00-00-00-00-0A", "0200.0000.000a", "02000000000a"])
def test_address_is_accepted_in_any_notation(rig: Rig, client: FlaskClient, spelling: str) -> None:
    rig.beat(MAC)
    page = client.get(f"/sensors/{spelling}", headers=BROWSER)
    assert page.status_code == 200
    assert "02:00:00:00:00:0a" in page.text


def test_current_outage_is_shown_with_its_ledger_above_earlier_ones(
    rig: Rig, client: FlaskClient
) -> None:
    rig.register(MAC)
    rig.beat(MAC, ago=11 * MINUTE)
    now = rig.clock.now()
    cases = Cases(rig.engine, now)
    group = cases.group()
    cases.incident(
        MAC,
        group,
        opened_at=now - 99 * MINUTE,
        last_seen=now - 110 * MINUTE,
        closed_at=now - 60 * MINUTE,
        recovered_at=now - 60 * MINUTE,
        closed_reason="recovered",
    )
    number = cases.incident(MAC, group, acknowledged_at=now, acknowledged_by="night")
    cases.message(
        group, [number], [(now, "sent", None)], state="sent", frozen_at=now, finished_at=now
    )
    page = client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).text
    opened = re.findall(r'<details id="incident-\d+"( open)?>', page)
    assert opened == [" open", ""]
    shown = visible_text(page)
    assert "Status down" in shown
    assert ", acknowledged by night " in shown
    assert "email : the alert was sent (attempt 1)" in shown
    assert ", for 50 min; recovered" in shown


def test_unknown_sensor_returns_404_with_the_reason(rig: Rig, client: FlaskClient) -> None:
    rig.beat(1)
    for path, reason in (
        ("/sensors/02:00:00:00:00:0a", "02:00:00:00:00:0a has never reported here"),
        ("/sensors/nonsense", "is not a MAC address"),
        ("/sensors/<script>", "is not a MAC address"),
    ):
        page = client.get(path, headers=BROWSER)
        assert page.status_code == 404
        assert page.content_type.startswith("text/html")
        assert reason in page.text
        assert "<script>" not in page.text
        answer = client.get(path)
        assert answer.content_type == "application/problem+json"


def test_forgotten_sensor_returns_404(rig: Rig, client: FlaskClient) -> None:
    rig.beat(MAC)
    rig.register(MAC)
    assert client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).status_code == 200
    rig.forget(MAC)
    rig.clock.ahead += SECOND
    page = client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER)
    assert page.status_code == 404
    assert "02:00:00:00:00:0a was removed on 20" in page.text
    assert "and has not reported since" in page.text
    assert client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).status_code == 404


def test_names_sites_labels_and_errors_are_escaped(rig: Rig, client: FlaskClient) -> None:
    evil = "<script>alert(1)</script>"
    rig.configure(MAC, name=evil, site=evil, labels={evil: evil})
    rig.beat(MAC)
    cases = Cases(rig.engine, rig.clock.now())
    group = cases.group()
    number = cases.incident(MAC, group, acknowledged_at=1, acknowledged_by=evil)
    cases.message(group, [number], [(1, "retry", evil)], channel=evil, body={"subject": evil})
    page = client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).text
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 9
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


def test_banner_is_shown_while_monitoring_is_behind(rig: Rig, client: FlaskClient) -> None:
    rig.beat(MAC)
    rig.judge(ago=MINUTE)
    page = client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).text
    assert "Monitoring is behind" in page


def test_request_for_one_sensor_computes_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.beat(*range(50))
    fleet = rig.fleet()
    fleet.changes(None)
    looked: list[int] = []
    entry = Fleet._entry

    def look(self: Fleet, mac: int, now: int) -> SensorEntry:
        looked.append(mac)
        return entry(self, mac, now)

    monkeypatch.setattr(Fleet, "_entry", look)
    assert [one.mac for one in fleet.one(7).entries] == [7]
    assert looked == [7]
    assert fleet.one(99).entries == []


def test_uptime_is_shown_as_percentage_text_and_bar(rig: Rig, client: FlaskClient) -> None:
    rig.register(MAC)
    for ago in range(0, 61, 5):
        rig.beat(MAC, ago=ago * MINUTE)
    rig.judge()
    page = client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).text
    shown = visible_text(page)
    for title in ("24 hours", "7 days", "30 days", "90 days"):
        assert re.search(rf"{title} 100 % up 1 h( \d s)? \(status known for 1 h( \d s)?\)", shown)
    assert page.count('class="up" x="0.0%" width="100.0%"') == 4


def test_registered_sensor_without_heartbeats_has_no_uptime(rig: Rig, client: FlaskClient) -> None:
    rig.configure(MAC, name="Spare")
    shown = visible_text(client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).text)
    assert shown.count("no data") == 4


def test_short_outage_is_visible_in_the_bar_and_the_parts_fill_it() -> None:
    found = uptime_bars.lines(
        [UptimeSpan(90, 0, 90 * DAY, Uptime(up=90 * DAY - MINUTE, down=MINUTE))]
    )
    (line,) = found
    assert line.percent == "99.999 %"
    assert line.known == ""
    assert [(part.kind, part.width, part.length) for part in line.parts] == [
        ("up", 99.4, "89 d 23 h"),
        ("down", 0.6, "1 min"),
    ]
    assert line.parts[1].left == 99.4


def test_updates_of_the_page_have_only_its_sensor(rig: Rig, client: FlaskClient) -> None:
    rig.beat(1, MAC)
    response = client.get("/sensors/02:00:00:00:00:0a/now")
    assert response.headers["Cache-Control"] == "no-cache"
    assert [each["mac_address"] for each in response.get_json()["sensors"]] == ["02:00:00:00:00:0a"]
    assert client.get("/sensors/02:00:00:00:00:ff/now").status_code == 404


def test_earlier_outages_are_shown_by_a_link(rig: Rig, client: FlaskClient) -> None:
    rig.register(MAC)
    rig.beat(MAC)
    cases = Cases(rig.engine, rig.clock.now())
    group = cases.group()
    for number in range(12):
        cases.incident(MAC, group, opened_at=number, closed_at=number, closed_reason="recovered")
    path = "/sensors/02:00:00:00:00:0a"
    page = client.get(path, headers=BROWSER).text
    assert page.count('<details id="incident-') == 10
    assert 'href="?outages=40#outages-title"' in page
    page = client.get(f"{path}?outages=40", headers=BROWSER).text
    assert page.count('<details id="incident-') == 12
    assert "Earlier ones</a>" not in page
    for odd in ("-3", "0", "x", "9" * 30):
        assert client.get(f"{path}?outages={odd}", headers=BROWSER).status_code == 200


def test_last_refused_heartbeat_is_shown(rig: Rig, client: FlaskClient) -> None:
    rig.beat(MAC)
    rig.register(MAC)
    rig.refuse(MAC, UNAUTHORIZED)
    rig.judge()
    shown = visible_text(client.get("/sensors/02:00:00:00:00:0a", headers=BROWSER).text)
    assert " UTC : 401, the token is missing or not valid Threshold" in shown
