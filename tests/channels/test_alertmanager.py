"""The Alertmanager channel against a real Alertmanager, and its handling of failures."""

import json
import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from monitor.channels import alertmanager as module
from monitor.channels.alertmanager import Alertmanager, Secrets, Settings, make
from monitor.channels.interface import SendFailed
from monitor.clock import Clock
from monitor.model import HOUR, MINUTE, SECOND
from monitor.outbox.channel_workers import ActiveChannel
from tests import alertmanager as real
from tests.channels.messages import message_about, sensor
from tests.delivering import delivery
from tests.outages import INTERVAL, WAIT, Outages
from tests.receiver import Receiver, Request, receiver
from tests.states import state, state_url
from tests.waiting import eventually

__all__ = ["state", "state_url"]

MAC = 0x02000000000A


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as hook:
        yield hook


@pytest.fixture
def running(tmp_path: Path, hook: Receiver) -> Iterator[real.Alertmanager]:
    with real.alertmanager(tmp_path, hook) as server:
        yield server


def channel(*urls: str) -> Alertmanager:
    return Alertmanager("alertmanager", urls, {}, allow_internal=True)


def groups(server: real.Alertmanager, status: str) -> dict[str, set[str]]:
    """Site -> MAC addresses that its webhook received with this status."""
    found: dict[str, set[str]] = {}
    for group in server.webhook_calls():
        macs = {a["labels"]["mac"][-2:] for a in group["alerts"] if a["status"] == status}
        if macs:
            found.setdefault(group["groupLabels"]["site"], set()).update(macs)
    return found


def firing(server: real.Alertmanager) -> set[str]:
    """MAC addresses of the active alerts."""
    return {alert["labels"]["mac"][-2:] for alert in server.alerts()}


def test_outages_are_delivered_grouped_by_site_and_resolved(
    state: Engine, running: real.Alertmanager
) -> None:
    now = Clock().now() - HOUR
    outages = {}
    for site, macs in (("Harbour", (1, 2, 3)), ("Mill", (4, 5))):
        outages[site] = Outages(state, ["alertmanager"], f"site:{site}")
        outages[site].sensors(*macs, site=site)
        outages[site].down(*macs, now=now)
    notifier = delivery(state, [ActiveChannel(channel(running.url), tracks=True)])
    assert notifier.deliver_once(now + WAIT) == 2
    expected = {"Harbour": {"01", "02", "03"}, "Mill": {"04", "05"}}
    eventually(lambda: groups(running, "firing") == expected)
    assert groups(running, "resolved") == {}

    outages["Harbour"].up(1, 2, now=now + 10 * MINUTE)
    assert notifier.deliver_once(now + 10 * MINUTE + WAIT) == 1
    eventually(lambda: groups(running, "resolved") == {"Harbour": {"01", "02"}})
    assert firing(running) == {"03", "04", "05"}

    outages["Harbour"].up(3, now=now + 20 * MINUTE)
    outages["Mill"].up(4, 5, now=now + 20 * MINUTE)
    notifier.deliver_once(now + 20 * MINUTE + INTERVAL)
    eventually(lambda: groups(running, "resolved") == expected)
    assert firing(running) == set()


def test_repeated_message_changes_nothing(running: real.Alertmanager) -> None:
    down = message_about("down", sensor(MAC), time=Clock().now())
    for _ in range(2):
        channel(running.url).send(down)
    (alert,) = running.alerts()
    assert alert["startsAt"] == "2026-11-23T14:13:05.000Z"


def test_recovery_resolves_a_sensor_renamed_and_moved_while_down(
    running: real.Alertmanager,
) -> None:
    down = sensor(MAC, labels={"severity": "warning"})
    channel(running.url).send(message_about("down", down, sensor(MAC + 1)))
    moved = down._replace(name="Pump", site="Mill", labels={}, recovered_at=down.opened_at)
    channel(running.url).send(message_about("recovered", moved))
    assert firing(running) == {"0b"}


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_recovery_resolves_despite_clock_difference(running: real.Alertmanager, ahead: int) -> None:
    now = Clock().now() + ahead
    down = sensor(MAC, opened_at=now - SECOND)
    channel(running.url).send(message_about("down", down, time=now))
    eventually(lambda: firing(running) == {"0a"})
    back = down._replace(recovered_at=now + SECOND)
    channel(running.url).send(message_about("recovered", back, time=now + SECOND))
    assert firing(running) == set()


def test_flapping_alert_fires_separately_and_stays_after_recovery(
    running: real.Alertmanager,
) -> None:
    now = Clock().now()
    down = sensor(MAC, opened_at=now - MINUTE)
    channel(running.url).send(message_about("down", down, time=now))
    channel(running.url).send(message_about("flapping", down, time=now))
    back = down._replace(recovered_at=now - SECOND)
    channel(running.url).send(message_about("recovered", back, time=now))
    (alert,) = running.alerts()
    assert alert["labels"]["alertname"] == "SensorFlapping"


# --- Several servers, and failures -----------------------------------------------------------


@pytest.fixture
def two() -> Iterator[tuple[Receiver, Receiver]]:
    with receiver() as first, receiver() as second:
        yield first, second


def failure(*receivers: Receiver) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        channel(*(each.url for each in receivers)).send(message_about("down", sensor(MAC)))
    return caught.value


def posted(request: Request) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(request.body)
    return content


def test_message_is_sent_to_every_server(two: tuple[Receiver, Receiver]) -> None:
    channel(*(each.url + "/" for each in two)).send(message_about("down", sensor(MAC)))
    (first,), (second,) = (each.requests for each in two)
    assert first.path == second.path == "/hook/api/v2/alerts"
    assert first.body == second.body


def test_one_success_is_enough_and_the_failure_is_logged(
    two: tuple[Receiver, Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    two[0].status = 500
    with caplog.at_level(logging.WARNING):
        channel(*(each.url for each in two)).send(message_about("down", sensor(MAC)))
    assert "channel alertmanager: Alertmanager 1 of 2 failed: answer 500" in caplog.text
    assert two[0].url not in caplog.text


def test_failure_is_permanent_only_if_all_servers_refuse_permanently(
    two: tuple[Receiver, Receiver],
) -> None:
    two[0].status, two[1].status, two[1].headers = 400, 503, {"Retry-After": "7"}
    failed = failure(*two)
    assert not failed.permanent
    assert failed.retry_after == 7 * SECOND
    assert failed.detail == "answer 400; answer 503"
    two[1].status = 401
    assert failure(*two).permanent


def test_hanging_server_does_not_delay_the_others(
    two: tuple[Receiver, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    go_on = threading.Event()
    two[0].before_answer = lambda _: bool(go_on.wait(10))
    try:
        channel(*(each.url for each in two)).send(message_about("down", sensor(MAC)))
        assert "no answer in time" in failure(two[0]).detail
    finally:
        go_on.set()


def _forbids_reading(hook: Receiver) -> Callable[[Request], None]:
    def answer(request: Request) -> None:
        hook.status = 403 if request.method == "GET" else 200

    return answer


def test_recovery_works_when_reading_alerts_is_forbidden(hook: Receiver) -> None:
    hook.before_answer = _forbids_reading(hook)
    channel(hook.url).send(message_about("recovered", sensor(MAC)))
    assert [request.method for request in hook.requests] == ["GET", "POST"]
    (alert,) = posted(hook.requests[-1])
    assert alert["labels"]["mac"] == "02:00:00:00:00:0a"


def test_answer_that_is_not_a_list_of_alerts_is_a_failure(hook: Receiver) -> None:
    with pytest.raises(SendFailed, match="not from an Alertmanager"):
        channel(hook.url).send(message_about("recovered", sensor(MAC)))


def test_many_alerts_are_sent_in_batches(hook: Receiver) -> None:
    many = [sensor(MAC + number) for number in range(600)]
    channel(hook.url).send(message_about("down", *many))
    assert [len(posted(request)) for request in hook.requests] == [250, 250, 100]


@pytest.mark.parametrize(
    ("username", "secrets", "expected"),
    [
        ("", Secrets(), None),
        (
            "monitor",
            Secrets(password="käse"),
            f"Basic {b64encode('monitor:käse'.encode()).decode()}",
        ),
        ("", Secrets(bearer_token="confidential"), "Bearer confidential"),
    ],
)
def test_credentials_are_sent_to_a_protected_server(
    hook: Receiver, username: str, secrets: Secrets, expected: str | None
) -> None:
    hook.before_answer = _forbids_reading(hook)
    make("am", Settings([hook.url], username), secrets, True).send(
        message_about("recovered", sensor(MAC))
    )
    assert {request.headers.get("Authorization") for request in hook.requests} == {expected}
    assert [request.method for request in hook.requests] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("settings", "secrets", "problem"),
    [
        (Settings([]), Secrets(), "at least one"),
        (Settings(["nowhere"]), Secrets(), "https://"),
        (Settings(["https://me:word@am.example.org"]), Secrets(), "https://"),
        (Settings(["https://am.example.org"], "me"), Secrets(), "together"),
        (Settings(["https://am.example.org"]), Secrets(password="word"), "together"),
        (Settings(["https://am.example.org"], "me"), Secrets("word", "token"), "not both"),
    ],
)
def test_contradictory_settings_are_refused(
    settings: Settings, secrets: Secrets, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        make("am", settings, secrets, True)
    assert "word" not in str(caught.value).replace("password", "")


def test_nothing_is_sent_to_an_internal_address_unless_allowed(hook: Receiver) -> None:
    with pytest.raises(SendFailed, match="internal"):
        Alertmanager("alertmanager", [hook.url], {}).send(message_about("down", sensor(MAC)))
    assert hook.requests == []
