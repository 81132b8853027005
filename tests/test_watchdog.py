"""The watchdog URL is called only while monitoring works."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.model import MINUTE, SECOND
from monitor.outbox.notifications import enqueue_notice
from monitor.state.database import open_state, writing
from monitor.state.migrating import migrate
from monitor.watchdog import Watchdog
from tests.outages import NOW
from tests.receiver import Receiver, receiver
from tests.waiting import eventually


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_state(f"sqlite:///{tmp_path}/state.db")
    migrate(engine)
    return engine


def asked(hook: Receiver, times: int) -> None:
    eventually(lambda: len(hook.requests) == times)


def test_url_is_called_once_a_minute_while_sensors_are_judged(engine: Engine) -> None:
    with receiver() as hook:
        watchdog = Watchdog(engine, hook.url, allow_internal=True)
        for second in range(0, 180, 5):
            now = NOW + second * SECOND
            watchdog.swept(now - 3 * SECOND, now)
            asked(hook, second // 60 + 1)
            assert watchdog._calling
            watchdog._calling.join()  # no second call while one is open
        assert {request.method for request in hook.requests} == {"GET"}


def test_url_is_not_called_while_the_horizon_stalls(engine: Engine) -> None:
    with receiver() as hook:
        watchdog = Watchdog(engine, hook.url, allow_internal=True)
        watchdog.swept(NOW - 16 * SECOND, NOW)
        watchdog.swept(0, NOW)
        watchdog.swept(NOW - SECOND, NOW + SECOND)
        asked(hook, 1)


def test_url_is_not_called_while_a_message_is_overdue(engine: Engine) -> None:
    with writing(engine) as connection:
        enqueue_notice(connection, "key", ["email"], {"kind": "notice"}, NOW)
    with receiver() as hook:
        watchdog = Watchdog(engine, hook.url, allow_internal=True)
        watchdog.swept(NOW + 3 * MINUTE, NOW + 3 * MINUTE)
        assert watchdog._calling is None
        watchdog.swept(NOW + 2 * MINUTE, NOW + 2 * MINUTE)
        asked(hook, 1)


def test_internal_address_is_not_called_and_a_refusal_is_only_logged(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as hook:
        Watchdog(engine, hook.url, allow_internal=False).swept(NOW, NOW)
        eventually(lambda: "internal" in caplog.text)
        assert hook.requests == []
        hook.status = 500
        Watchdog(engine, hook.url, allow_internal=True).swept(NOW, NOW)
        eventually(lambda: "answer 500" in caplog.text)
        assert "/hook" not in caplog.text
