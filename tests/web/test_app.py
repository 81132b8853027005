import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from monitor.model import DAY, MINUTE, SECOND
from monitor.state import horizon
from monitor.state.database import writing
from monitor.store.interface import StoreUnavailable
from monitor.store.sqlite import SqliteStore
from monitor.web.grid import cells as pages
from monitor.web.grid.fleet import Fleet
from monitor.web.judging import Judging
from monitor.web.readiness import Readiness
from tests.web.fleet_rig import THRESHOLD, Rig

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def client(rig: Rig) -> FlaskClient:
    return rig.build_app().test_client()


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = response.get_json(force=True)
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["detail"]
    return body


def test_sensors_have_status_last_seen_and_threshold(rig: Rig, client: FlaskClient) -> None:
    rig.beat(2)
    rig.configure(2, name="Boiler room", site="Harbour", threshold=1_500)
    rig.judge()
    response = client.get("/sensors")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-cache"
    body = response.get_json()
    (sensor,) = body["sensors"]
    last_seen = sensor.pop("last_seen")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", last_seen)
    assert sensor == {
        "mac_address": "00:00:00:00:00:02",
        "name": "Boiler room",
        "site": "Harbour",
        "status": "up",
        "threshold_seconds": 1.5,
        "incident_since": None,
        "acknowledged_at": None,
        "labels": {},
        "silenced_until": None,
        "silenced_by": None,
        "tag": None,
    }
    assert last_seen <= body["horizon"] <= body["time"]
    assert (body["reset"], body["forgotten"], body["problem"]) == (True, [], None)


def test_cursor_returns_only_changes_since_the_last_response(rig: Rig, client: FlaskClient) -> None:
    rig.beat(1, 2)
    first = client.get("/sensors").get_json()
    rig.beat(2)
    rig.clock.ahead += 2 * SECOND
    second = client.get("/sensors", query_string={"since": first["cursor"]}).get_json()
    assert [sensor["mac_address"] for sensor in second["sensors"]] == ["00:00:00:00:00:02"]
    assert second["reset"] is False
    assert second["horizon"] is None


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip"])
def test_long_response_is_compressed(rig: Rig, client: FlaskClient, encoding: str) -> None:
    rig.beat(*range(100))
    response = client.get("/sensors", headers={"Accept-Encoding": encoding})
    assert response.headers["Content-Encoding"] == encoding


def test_unreadable_store_returns_503_for_sensors_and_page(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = SqliteStore(tmp_path / "missing.sqlite", MINUTE)
    app = rig.build_app(lambda: Fleet(missing, rig.engine, rig.clock, THRESHOLD, MINUTE))
    response = app.test_client().get("/sensors")
    problem(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    page = app.test_client().get("/", headers=BROWSER)
    assert page.status_code == 503
    assert page.content_type.startswith("text/html")
    assert "Traceback" not in page.text
    assert "heartbeat store can&#39;t be read" in page.text
    assert page.headers["Refresh"]


def test_store_that_cannot_be_opened_returns_503(rig: Rig) -> None:
    def open_fleet() -> Fleet:
        raise StoreUnavailable("no")

    app = rig.build_app(open_fleet)
    problem(app.test_client().get("/sensors"), 503)


def test_fleet_is_opened_once_by_the_first_page(rig: Rig) -> None:
    opened = []

    def open_fleet() -> Fleet:
        opened.append(1)
        return rig.fleet()

    app = rig.build_app(open_fleet)
    client = app.test_client()
    client.get("/healthz")
    client.get("/readyz")
    assert opened == []
    client.get("/sensors")
    client.get("/")
    assert opened == [1]


def test_page_is_sorted_by_worst_status_then_by_name_in_natural_order(
    rig: Rig, client: FlaskClient
) -> None:
    for mac, name in enumerate(["Gate 10", "gate 9", None, "Gate 1"], start=1):
        rig.configure(mac, name=name)
    rig.beat(1, 2, 3, 4)
    rig.beat(5, ago=11 * MINUTE)
    rig.register(5)
    rig.open_incidents([5])
    rig.judge()
    page = client.get("/", headers=BROWSER)
    assert page.status_code == 200
    cells = page.text.partition("<template")[0]
    labels = re.findall(r'class="name(?: mac)?">([^<]*)<', cells)
    assert labels == ["00:00:00:00:00:05", "Gate 1", "gate 9", "Gate 10", "00:00:00:00:00:03"]
    assert "<title>1 down · heartbeat-monitor</title>" in page.text
    assert 'id="banner" class="banner" role="alert" hidden>' in page.text


def test_empty_page_shows_how_to_send_the_first_heartbeat(client: FlaskClient) -> None:
    text = html.unescape(client.get("/", headers=BROWSER).text)
    assert "curl -X POST" in text
    assert '{"mac_address": "02:00:00:00:00:00"}' in text
    assert "http://127.0.0.1:8000/heartbeat" in text


def test_names_are_escaped(rig: Rig, client: FlaskClient) -> None:
    rig.configure(1, name="<script>alert(1)</script>", site='"><b>')
    text = client.get("/", headers=BROWSER).text
    assert "<script>alert" not in text
    assert "<b>&" not in text
    assert '"><b>' not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_page_reports_that_monitoring_is_behind(rig: Rig, client: FlaskClient) -> None:
    rig.beat(1)
    rig.judge(ago=16 * SECOND)
    assert "Monitoring is behind" in client.get("/", headers=BROWSER).text


def test_large_fleet_is_truncated_in_the_page_but_counted_completely(
    rig: Rig, client: FlaskClient
) -> None:
    rig.beat(*range(700))
    page = client.get("/", headers=BROWSER).text
    assert page.count('<li class="cell') == pages.FIRST_CELLS
    assert "<b>700</b> up" in page


@pytest.mark.parametrize(
    "path", ["/", "/sensors", "/healthz", "/readyz", "/nowhere", "/static/x/y"]
)
def test_every_response_has_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path, headers=BROWSER).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_page_has_no_inline_script_or_style(rig: Rig, client: FlaskClient) -> None:
    rig.beat(1)
    page = client.get("/", headers=BROWSER).text
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


def test_static_files_with_a_content_hash_are_cached_permanently(
    client: FlaskClient,
) -> None:
    page = client.get("/", headers=BROWSER).text
    for path in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page)):
        response = client.get(path)
        assert response.status_code == 200, path
        cache = response.headers["Cache-Control"]
        assert "immutable" in cache
        assert "max-age=31536000" in cache
        assert "no-cache" not in cache
    old = client.get("/static/0123456789ab/grid/grid.js")
    assert old.headers["Cache-Control"] == "no-cache"
    assert old.content_type.startswith("text/javascript")


def test_path_traversal_in_static_files_returns_404(client: FlaskClient) -> None:
    for path in ("/static/x/..%2fapp.py", "/static/x/../app.py", "/static/x/%2e%2e/app.py"):
        assert client.get(path).status_code == 404


def test_errors_are_problem_json_for_programs_and_pages_for_browsers(client: FlaskClient) -> None:
    problem(client.get("/nowhere"), 404)
    problem(client.post("/sensors", headers=BROWSER), 405)
    assert "GET" in client.post("/sensors").headers["Allow"]
    page = client.get("/nowhere", headers=BROWSER)
    assert page.status_code == 404
    assert page.content_type.startswith("text/html")


def test_internal_error_shows_no_traceback(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def open_fleet() -> Fleet:
        raise ZeroDivisionError("secret")

    app = rig.build_app(open_fleet)
    for path in ("/", "/sensors"):
        response = app.test_client().get(path, headers=BROWSER)
        assert response.status_code == 500
        assert "secret" not in response.text
        assert "Traceback" not in response.text
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "secret" in caplog.text


def test_unknown_host_is_refused(rig: Rig) -> None:
    client = rig.build_app(trusted_hosts=["monitor.example"]).test_client()
    assert client.get("/sensors", headers={"Host": "monitor.example"}).status_code == 200
    evil = {"Host": "evil.example"}
    problem(client.get("/sensors", headers=evil), 400)
    assert client.get("/healthz", headers=evil).status_code == 200
    assert client.get("/readyz", headers=evil).status_code == 200
    page = client.get("/", headers=BROWSER | evil)
    assert page.status_code == 400


def test_oversized_body_is_refused(client: FlaskClient) -> None:
    response = client.post("/sensors", data=b"x" * (2 * 1024 * 1024))
    assert response.status_code in (405, 413)


def test_healthz_succeeds_while_readyz_fails(rig: Rig, client: FlaskClient) -> None:
    rig.reasons = ["The shipper has not started."]
    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert problem(response, 503)["reasons"] == rig.reasons
    assert response.headers["Retry-After"]
    rig.reasons = []
    assert client.get("/readyz").status_code == 200


class TestReadiness:
    def readiness(self, rig: Rig) -> Readiness:
        judging = Judging(rig.clock, behind_after=MINUTE)
        return Readiness(rig.directory / "shipper.json", rig.engine, rig.clock, judging)

    def shipper_says(self, rig: Rig, **status: Any) -> list[str]:
        path = rig.directory / "shipper.json"
        path.write_text(json.dumps({"reason": "", **status}))
        return self.readiness(rig)()

    def test_shipper_must_be_ready_and_have_reported_recently(self, rig: Rig) -> None:
        missing = self.readiness(rig)
        assert missing() == ["The shipper has not started."]
        now = rig.clock.now()
        assert self.shipper_says(rig, ready=True, at=now) == []
        assert self.shipper_says(rig, ready=False, reason="The store is unavailable.", at=now) == [
            "The store is unavailable."
        ]
        (old,) = self.shipper_says(rig, ready=True, at=now - 60 * SECOND)
        assert "for 60 s" in old
        (broken,) = self.shipper_says(rig, ready="perhaps")
        assert "can't be read" in broken

    def test_sweeps_must_succeed_after_an_initial_wait(self, rig: Rig) -> None:
        ready = self.readiness(rig)
        rig.judge(ago=DAY)

        def reasons(after: int) -> list[str]:
            rig.clock.ahead += after
            self.shipper_says(rig, ready=True, at=rig.clock.now())
            return ready()

        assert reasons(55 * SECOND) == []  # the scheduler starts together with this process
        (reason,) = reasons(10 * SECOND)
        assert reason.startswith("Sensors have not been judged since ")
        assert reason.endswith(" No sweep has completed since then.")
        with writing(rig.engine) as connection:
            horizon.record_hindrance(connection, "The clock is wrong.")
        (reason,) = reasons(SECOND)
        assert reason.endswith(" The clock is wrong.")
        rig.judge()
        assert reasons(SECOND) == []
        # After a notice was sent, judging counts as behind at once.
        with writing(rig.engine) as connection:
            horizon.record_notices(connection, rig.clock.now() - 2 * MINUTE, 0, 0)
        (reason,) = self.shipper_says(rig, ready=True, at=rig.clock.now())
        assert reason.endswith(" The clock is wrong.")

    def test_state_must_be_readable(self, rig: Rig) -> None:
        (rig.directory / "state.sqlite").unlink()
        reasons = self.shipper_says(rig, ready=True, at=rig.clock.now())
        assert reasons == ["The state database can't be read."]
