"""Open alerts are sent again to a real Alertmanager, which expires alerts that are not repeated."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.channels import alerts
from monitor.channels.alertmanager import Alertmanager
from monitor.channels.interface import Message, SendFailed
from monitor.clock import Clock
from monitor.model import HOUR, MINUTE, SECOND
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery
from monitor.outbox.message import compose_notice
from monitor.outbox.notifications import enqueue_notice
from monitor.state import health
from monitor.state.database import reading, writing
from tests import alertmanager as real
from tests.delivering import FRAME, delivery
from tests.outages import WAIT, Outages, rows
from tests.receiver import Receiver, receiver
from tests.states import state, state_url
from tests.waiting import eventually

__all__ = ["state", "state_url"]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as hook:
        yield hook


@pytest.fixture
def running(tmp_path: Path, hook: Receiver) -> Iterator[real.Alertmanager]:
    with real.alertmanager(tmp_path, hook) as server:
        yield server


@pytest.fixture
def outages(state: Engine) -> Outages:
    """Two sensors that have been down for an hour, one of them acknowledged."""
    now = Clock().now() - HOUR
    outages = Outages(state, ["alertmanager"])
    outages.sensors(1, 2)
    outages.down(1, 2, now=now)
    return outages


def notifier(state: Engine, *urls: str, every: int = SECOND) -> Delivery:
    channel = Alertmanager("alertmanager", urls, {}, allow_internal=True)
    served = ActiveChannel(channel, tracks=True, lasting=alerts.LASTING)
    return delivery(state, [served], resend_interval=every, remind_after=4 * HOUR)


@contextmanager
def delivering(notifier: Delivery) -> Iterator[None]:
    stop = threading.Event()
    loop = threading.Thread(target=notifier.run, args=(stop.is_set,))
    loop.start()
    try:
        yield
    finally:
        stop.set()
        loop.join(30)


def firing(server: real.Alertmanager) -> dict[str, str]:
    """MAC address -> fingerprint of each active alert."""
    return {alert["labels"]["mac"][-2:]: alert["fingerprint"] for alert in server.alerts()}


def test_open_alerts_fire_after_a_restart_and_end_on_recovery(
    state: Engine, outages: Outages, running: real.Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.outbox.delivery._MAINTAIN_EVERY", 0.2)
    with delivering(notifier(state, running.url)):
        eventually(lambda: firing(running).keys() == {"01", "02"}, 20)
        outages.acknowledge(2)
        before, starts = firing(running), {each["startsAt"] for each in running.alerts()}
        running.kill()
        running.start()
        eventually(lambda: firing(running) == before, 30)
        assert {each["startsAt"] for each in running.alerts()} == starts
        outages.up(1, now=Clock().now() - HOUR)
        eventually(lambda: firing(running).keys() == {"02"}, 20)
    kinds = [(row.kind, row.state, row.attempts) for row in rows(state)]
    assert kinds == [("down", "sent", 1), ("recovered", "sent", 1)]


def test_alert_that_is_not_sent_again_expires(
    state: Engine, outages: Outages, running: real.Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "FIRING", 3 * SECOND)
    now = Clock().now()
    assert notifier(state, running.url).deliver_once(now) == 1
    assert firing(running).keys() == {"01", "02"}
    eventually(lambda: firing(running) == {}, 20)


def test_restarted_cluster_member_receives_all_open_alerts(
    state: Engine, outages: Outages, running: real.Alertmanager, tmp_path: Path, hook: Receiver
) -> None:
    (tmp_path / "second").mkdir()
    with real.alertmanager(tmp_path / "second", hook) as second:
        second.kill()
        both, now = notifier(state, running.url, second.url), Clock().now()
        both.deliver_once(now)
        assert firing(running).keys() == {"01", "02"}
        second.start()
        both.deliver_once(now + SECOND)
        assert firing(second) == firing(running)


def test_only_one_of_two_notifiers_repeats_alerts(
    state: Engine, outages: Outages, running: real.Alertmanager
) -> None:
    now = Clock().now()
    notifier(state, running.url, every=MINUTE).deliver_once(now)
    running.kill()
    running.start()
    notifier(state, running.url, every=MINUTE).deliver_once(now + 59 * SECOND)
    assert firing(running) == {}
    notifier(state, running.url, every=MINUTE).deliver_once(now + MINUTE)
    assert firing(running).keys() == {"01", "02"}


def test_notice_of_the_last_hour_is_sent_again(state: Engine, running: real.Alertmanager) -> None:
    now = Clock().now()
    body = compose_notice("Monitoring was blind", ["From …"], now, "blind", FRAME)
    with writing(state) as connection:
        enqueue_notice(connection, "matter", ["alertmanager"], body, now)
    notifier(state, running.url).deliver_once(now)
    running.kill()
    running.start()
    notifier(state, running.url).deliver_once(now + SECOND)
    assert [each["labels"]["alertname"] for each in running.alerts()] == ["MonitoringNotice"]


class FakeAlertmanager:
    """An Alertmanager channel that can fail, and that calls `act` during each send."""

    name = "alertmanager"

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.fails = False
        self.act: Callable[[], object] = lambda: None

    def send(self, message: Message) -> None:
        if self.fails:
            raise SendFailed("answer 503", permanent=False)
        self.got.append(message)
        self.act()


def test_repeats_count_for_health_but_not_in_the_ledger(state: Engine, outages: Outages) -> None:
    channel, now = FakeAlertmanager(), Clock().now()
    once = delivery(
        state, [ActiveChannel(channel, True, lasting=alerts.LASTING)], resend_interval=SECOND
    )
    once.deliver_once(now)
    channel.fails = True
    once.deliver_once(now + MINUTE)
    with reading(state) as connection:
        assert health.of_all(connection)["alertmanager"].failing_since == now + MINUTE
    channel.fails = False
    once.deliver_once(now + 2 * MINUTE)
    with reading(state) as connection:
        assert health.of_all(connection)["alertmanager"].failing_since is None
    assert [(row.kind, row.state, row.attempts) for row in rows(state)] == [("down", "sent", 1)]


def test_incident_that_closes_during_a_repeat_is_resolved_at_once(
    state: Engine, outages: Outages
) -> None:
    channel, now = FakeAlertmanager(), Clock().now()
    once = delivery(
        state, [ActiveChannel(channel, True, lasting=alerts.LASTING)], resend_interval=SECOND
    )
    once.deliver_once(now - WAIT)
    channel.got.clear()
    channel.act = lambda: outages.up(1, now=now) if len(channel.got) == 1 else None
    once.deliver_once(now)
    sent = [(each.kind, {who["mac"][-1] for who in each.data["members"]}) for each in channel.got]
    assert sent == [("down", {"1", "2"}), ("recovered", {"1"})]
