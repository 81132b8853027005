"""Notifiers that are killed, terminated or suspended while servers receive their messages.

For SIGKILL at every step, see tests/faults.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.model import DAY
from tests.outages import NOW, Outages, let_claims_run_out, let_retries_come_due, rows
from tests.receiver import Receiver, Request
from tests.smtp import Mailbox
from tests.states import sqlite_file_locked
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


class Notifiers:
    """Starts notifier processes."""

    def __init__(self, state_url: str, hook: Receiver, box: Mailbox) -> None:
        self._arguments = [state_url, hook.url, str(box.port)]
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        """Start one more process."""
        command = [sys.executable, "-m", "tests.outbox.notifier", *self._arguments]
        self.started.append(subprocess.Popen(command, cwd=ROOT))
        return self.started[-1]

    def kill_on_arrival(self, *_: object) -> str:
        """Kill the first notifier. A server calls this when a message arrives, then accepts it."""
        self.started[0].kill()
        return "250 OK"


@pytest.fixture
def notifiers(state_url: str, hook: Receiver, box: Mailbox) -> Iterator[Notifiers]:
    notifiers = Notifiers(state_url, hook, box)
    yield notifiers
    for process in notifiers.started:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def outage(state: Engine, channel: str) -> Outages:
    outages = Outages(state, [channel])
    outages.sensors(1, 2)
    outages.down(1, now=NOW - DAY)
    return outages


def dead(process: subprocess.Popen[bytes]) -> bool:
    return eventually(lambda: process.poll() == -signal.SIGKILL, seconds=30)


def finished(state: Engine) -> bool:
    return eventually(lambda: {row.state for row in rows(state)} == {"sent"}, seconds=30)


@pytest.mark.parametrize("channel", ["webhook", "email"])
def test_message_is_sent_again_and_identical_if_the_notifier_is_killed_during_the_send(
    state: Engine, hook: Receiver, box: Mailbox, notifiers: Notifiers, channel: str
) -> None:
    outage(state, channel)
    hook.before_answer = box.to_content = notifiers.kill_on_arrival
    assert dead(notifiers.start())
    (row,) = rows(state)
    assert row.state == "claimed"
    let_claims_run_out(state)
    notifiers.start()
    assert finished(state)
    assert len(hook.requests) + len(box.seen) == 2
    assert_identical(hook.requests, box, row.key)


def test_another_notifier_continues_the_attempts_of_one_that_ended(
    state: Engine, hook: Receiver, notifiers: Notifiers
) -> None:
    outage(state, "webhook")
    hook.status = 503
    first = notifiers.start()
    eventually(lambda: rows(state)[0].outcome == "answer 503", seconds=30)
    first.terminate()
    assert first.wait(30) == 0
    hook.status = 200
    let_retries_come_due(state)
    notifiers.start()
    assert finished(state)
    assert_identical(hook.requests, Mailbox(), rows(state)[0].key)
    assert rows(state)[0].attempts == len(hook.requests) >= 2


def test_notifier_that_continues_after_its_claim_expired_changes_nothing(
    state: Engine, hook: Receiver, notifiers: Notifiers
) -> None:
    outage(state, "webhook")
    slow = notifiers.start()
    stopped: list[int] = []

    def stop_the_first(_: Request) -> None:
        if not stopped:
            with sqlite_file_locked(state):
                os.kill(slow.pid, signal.SIGSTOP)
            stopped.append(slow.pid)

    hook.before_answer = stop_the_first
    eventually(lambda: stopped, seconds=30)
    let_claims_run_out(state)
    notifiers.start()
    assert finished(state)
    (row,) = rows(state)
    os.kill(slow.pid, signal.SIGCONT)
    slow.terminate()
    assert slow.wait(30) == 0
    assert rows(state) == [row]
    assert_identical(hook.requests, Mailbox(), row.key)


def assert_identical(requests: list[Request], box: Mailbox, key: str) -> None:
    """Assert that all messages that arrived are identical and have this key."""
    assert len({request.body for request in requests} | set(box.seen)) == 1
    assert {request.headers["Idempotency-Key"] for request in requests} <= {key}
    assert {message["Message-ID"] for message in box.messages} <= {f"<{key}@example.org>"}
