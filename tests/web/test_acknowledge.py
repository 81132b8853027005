"""The page of the link in a message."""

import logging
import re
from collections.abc import Callable
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select
from werkzeug.test import TestResponse

from monitor.clock import Clock
from monitor.model import HOUR, MINUTE
from monitor.outbox import acknowledge_link
from monitor.state.database import open_state, reading
from monitor.state.tables import incident, metadata, silence
from monitor.vault import Vault
from monitor.web.app import create_app
from tests.cases import NOW, Cases
from tests.states import state, state_url
from tests.web.contexts import build_context

__all__ = ["state", "state_url"]

BASE = "https://monitor.example"
VAULT = Vault("k" * 32)
link = acknowledge_link.links(VAULT, BASE)


class SettableClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.time = NOW + MINUTE

    def now(self) -> int:
        return self.time


def app_client(engine: Engine, clock: SettableClock, zone: tzinfo = UTC) -> FlaskClient:
    context = build_context(engine, clock, vault=VAULT, base_url=BASE, zone=zone)
    return create_app(context).test_client()


def text_of(page: TestResponse) -> str:
    """The page without its `time` elements."""
    return re.sub("</?time[^>]*>", "", page.text)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def client(state: Engine, clock: SettableClock) -> FlaskClient:
    return app_client(state, clock)


class AlertMessage:
    """A message about three sensors: one is silent, one acknowledged, one has recovered."""

    def __init__(self, state: Engine) -> None:
        cases = Cases(state)
        group = cases.group()
        cases.sensor(1, name="<script>alert(1)</script>", site="Harbour")
        self.silent = cases.incident(1, group)
        self.acknowledged = cases.incident(
            2, group, acknowledged_at=NOW, acknowledged_by="the <b>night</b> shift"
        )
        self.closed = cases.incident(3, group, closed_at=NOW, closed_reason="recovered")
        self.other = cases.incident(4, group)
        self.message = cases.message(
            group,
            [self.silent, self.acknowledged, self.closed],
            state="sent",
            body={"subject": "3 sensors at <i>Harbour</i> silent"},
        )
        self.path = link(self.message, "email", NOW).removeprefix(BASE)


@pytest.fixture
def alert(state: Engine) -> AlertMessage:
    return AlertMessage(state)


def all_rows(state: Engine) -> dict[str, list[object]]:
    """Table -> all its rows."""
    with reading(state) as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in metadata.sorted_tables
        }


def acknowledged(state: Engine) -> dict[int, str | None]:
    """Incident -> the name of the user who acknowledged it."""
    with reading(state) as connection:
        rows = connection.execute(select(incident.c.id, incident.c.acknowledged_by))
        return {row.id: row.acknowledged_by for row in rows}


def test_page_shows_the_sensors_of_the_message(client: FlaskClient, alert: AlertMessage) -> None:
    page = client.get(alert.path)
    assert page.status_code == 200
    assert "3 sensors at &lt;i&gt;Harbour&lt;/i&gt; silent" in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; at Harbour" in page.text
    assert "by the &lt;b&gt;night&lt;/b&gt; shift, 2026-11-23 01:02:00 UTC" in text_of(page)
    assert "recovered, 2026-11-23 01:02:00 UTC" in text_of(page)
    assert "<script>" not in page.text
    assert "<b>night" not in page.text
    for title in ("Silent now (1)", "Acknowledged (1)", "Closed (1)"):
        assert title in page.text
    assert 'value="acknowledge"' in page.text
    assert 'value="silence"' in page.text
    assert "00:00:00:00:00:04" not in page.text


def test_opening_the_link_changes_nothing(
    state: Engine, client: FlaskClient, alert: AlertMessage
) -> None:
    before = all_rows(state)
    for query in ("", "?answer=acknowledge", "?answer=silence"):
        assert client.get(alert.path + query).status_code == 200
        assert client.head(alert.path + query).status_code == 200
        assert client.options(alert.path + query).status_code == 200
    client.post(alert.path)
    client.post(alert.path, data={"answer": "launch"})
    client.post(alert.path + "?answer=acknowledge")
    assert all_rows(state) == before


def test_acknowledge_button_acknowledges_open_incidents_once(
    state: Engine, client: FlaskClient, alert: AlertMessage
) -> None:
    page = client.post(alert.path, data={"answer": "acknowledge"}, follow_redirects=True)
    assert page.status_code == 200
    assert "All of these incidents are acknowledged or closed." in page.text
    assert 'value="acknowledge"' not in page.text
    assert acknowledged(state) == {
        alert.silent: "email by link",
        alert.acknowledged: "the <b>night</b> shift",
        alert.closed: None,
        alert.other: None,
    }
    once = all_rows(state)["incident"]
    again = client.post(alert.path, data={"answer": "acknowledge"}, follow_redirects=True)
    assert again.status_code == 200
    assert all_rows(state)["incident"] == once


def test_silence_button_adds_one_silence(
    state: Engine, client: FlaskClient, alert: AlertMessage, clock: SettableClock
) -> None:
    for _ in range(2):
        page = client.post(alert.path, data={"answer": "silence"}, follow_redirects=True)
        clock.time += MINUTE
    assert "Silenced until 2026-11-23 05:03:00 UTC" in text_of(page)
    assert 'value="silence"' not in page.text
    with reading(state) as connection:
        (row,) = connection.execute(select(silence)).all()
    assert row.matchers == ["mac=00:00:00:00:00:01|00:00:00:00:00:02|00:00:00:00:00:03"]
    assert (row.starts_at, row.ends_at) == (NOW + MINUTE, NOW + MINUTE + 4 * HOUR)
    assert row.created_by == "email by link"
    assert acknowledged(state)[alert.silent] is None
    clock.time += 4 * HOUR
    assert 'value="silence"' in client.get(alert.path).text


def test_closed_incidents_have_no_buttons(state: Engine, client: FlaskClient) -> None:
    cases = Cases(state)
    group = cases.group()
    number = cases.incident(1, group, closed_at=NOW, closed_reason="paused")
    path = link(cases.message(group, [number]), "email", NOW).removeprefix(BASE)
    page = client.get(path)
    assert "<button" not in page.text
    assert "the sensor was paused" in page.text
    before = all_rows(state)
    client.post(path, data={"answer": "silence"})
    assert all_rows(state) == before


@pytest.mark.parametrize(
    "broken",
    [
        lambda path: path[:-1],
        lambda path: path + "x",
        lambda path: path.replace("/acknowledge/", "/acknowledge/x"),
        lambda path: (
            "/acknowledge/" + VAULT.sign("something else", {"n": 1, "c": "email", "e": 9**15})
        ),
        lambda path: (
            "/acknowledge/"
            + Vault("o" * 32).sign("acknowledge", {"n": 1, "c": "email", "e": 9**15})
        ),
        lambda path: "/acknowledge/" + VAULT.sign("acknowledge", {"n": 1, "c": "sms", "e": 9**15}),
        lambda path: (
            "/acknowledge/" + VAULT.sign("acknowledge", {"n": 99, "c": "email", "e": 9**15})
        ),
        lambda path: "/acknowledge/%00",
        lambda path: path + "%0d%0aSet-Cookie:%20a=b",
        lambda path: "/acknowledge/é.é",
    ],
)
def test_altered_link_returns_404(
    state: Engine, client: FlaskClient, alert: AlertMessage, broken: Callable[[str], str]
) -> None:
    before = all_rows(state)
    path = broken(alert.path)
    for response in (client.get(path), client.post(path, data={"answer": "acknowledge"})):
        assert response.status_code == 404
        assert "This link is not valid" in response.text
        assert response.content_type.startswith("text/html")
    assert all_rows(state) == before


def test_expired_link_returns_410(
    state: Engine, client: FlaskClient, alert: AlertMessage, clock: SettableClock
) -> None:
    clock.time = NOW + 48 * HOUR - 1
    assert client.get(alert.path).status_code == 200
    clock.time += 1
    before = all_rows(state)
    for response in (client.get(alert.path), client.post(alert.path, data={"answer": "silence"})):
        assert response.status_code == 410
        assert "This link has expired" in response.text
        assert "work for 48 hours" in response.text
    assert all_rows(state) == before


def test_link_is_not_sent_as_referrer_and_page_is_not_cached(
    client: FlaskClient, alert: AlertMessage
) -> None:
    pressed = client.post(alert.path, data={"answer": "nothing"})
    assert pressed.status_code == 303
    for response in (client.get(alert.path), client.get(alert.path + "x"), pressed):
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert alert.path.removeprefix("/acknowledge/") not in client.get(alert.path).text


def test_link_is_not_logged(
    state: Engine, clock: SettableClock, alert: AlertMessage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = app_client(state, clock)

    @event.listens_for(state, "before_cursor_execute")
    def fail_query(*_: object) -> None:
        raise ZeroDivisionError

    response = client.get(alert.path)
    event.remove(state, "before_cursor_execute", fail_query)
    assert response.status_code == 500
    assert "/acknowledge/<token> failed" in caplog.text
    assert alert.path not in caplog.text


def test_unavailable_state_returns_503(clock: SettableClock, tmp_path: object) -> None:
    client = app_client(open_state(f"sqlite:///{tmp_path}/never-migrated.db"), clock)
    path = link(1, "email", NOW).removeprefix(BASE)
    page = client.post(path, data={"answer": "acknowledge"}, headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert page.headers["Retry-After"]
    assert page.headers["Referrer-Policy"] == "no-referrer"


def test_link_is_deterministic_and_fits_into_a_text_message() -> None:
    first = link(2**40, "a channel", NOW)
    assert first == link(2**40, "a channel", NOW)
    assert first == acknowledge_link.links(Vault("k" * 32), BASE + "/")(2**40, "a channel", NOW)
    assert first.startswith(f"{BASE}/acknowledge/")
    assert len(first) < 160


def test_long_list_is_truncated_and_times_use_the_configured_zone(
    state: Engine, clock: SettableClock
) -> None:
    cases = Cases(state)
    group = cases.group()
    numbers = [cases.incident(mac, group) for mac in range(25)]
    path = link(cases.message(group, numbers), "email", NOW).removeprefix(BASE)
    page = app_client(state, clock, ZoneInfo("Europe/Berlin")).get(path)
    assert text_of(page).count("last seen 2026-11-23 01:51:00 CET") == 20
    assert "and 5 more" in page.text
    app_client(state, clock).post(path, data={"answer": "acknowledge"})
    assert set(acknowledged(state).values()) == {"email by link"}
