"""The limits of delivery threads: browsers and slow channels do not delay other channels."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Engine

from monitor.channels.interface import Message, SendFailed
from monitor.model import DAY
from monitor.outbox.channel_workers import ActiveChannel, ChannelWorker
from monitor.outbox.delivery_threads import LIMIT, SLOW_LIMIT, DeliveryThreads
from tests.delivering import delivery
from tests.outages import NOW, Outages, rows
from tests.waiting import eventually

MESSAGE = Message("key", "test", NOW, "subject", "text", {})


class Blocked:
    """Channels whose sends last until `free` is set. Counts sends that run at the same time."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.sending: list[str] = []
        self.sent: list[str] = []
        self.most = 0

    def workers(self, *names: str) -> list[ChannelWorker]:
        return [ChannelWorker(ActiveChannel(_Channel(name, self))) for name in names]


class _Channel:
    def __init__(self, name: str, blocked: Blocked) -> None:
        self.name, self._blocked = name, blocked

    def send(self, _message: Message) -> None:
        blocked = self._blocked
        blocked.sending.append(self.name)
        blocked.most = max(blocked.most, len(blocked.sending))
        if self.name != "pager":
            blocked.free.wait(20)
        blocked.sending.remove(self.name)
        blocked.sent.append(self.name)


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    blocked = Blocked()
    yield blocked
    blocked.free.set()


@pytest.fixture
def threads(blocked: Blocked) -> Iterator[DeliveryThreads]:
    threads = DeliveryThreads(lambda worker: worker.send(MESSAGE))
    yield threads
    blocked.free.set()
    threads.join()


def browsers(count: int) -> list[str]:
    return [f"browser-{number}" for number in range(count)]


def test_browsers_do_not_use_the_threads_of_other_channels(
    blocked: Blocked, threads: DeliveryThreads
) -> None:
    threads.set_waiting(blocked.workers(*browsers(50), "pager"))
    threads.start()
    eventually(lambda: blocked.sent == ["pager"])
    eventually(lambda: len(blocked.sending) == LIMIT)
    threads.start()
    assert blocked.most <= LIMIT + 1


def test_each_waiting_worker_has_its_turn(blocked: Blocked, threads: DeliveryThreads) -> None:
    blocked.free.set()
    threads.set_waiting(blocked.workers(*browsers(50)))

    def all_sent() -> bool:
        threads.start()
        return len(blocked.sent) == 50

    eventually(all_sent)
    assert sorted(blocked.sent) == sorted(browsers(50))


def test_channels_that_hang_do_not_delay_one_that_answers(
    blocked: Blocked, threads: DeliveryThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = blocked.workers(*(f"hanging-{number}" for number in range(LIMIT + 2)))
    threads.set_waiting([*hanging, *blocked.workers("pager")])
    threads.start()
    assert "pager" not in blocked.sent
    monkeypatch.setattr("monitor.outbox.channel_workers._SLOW", 0.05)

    def pager_sent() -> bool:
        threads.start()
        return blocked.sent == ["pager"]

    eventually(pager_sent)
    assert len(blocked.sending) <= LIMIT + SLOW_LIMIT


def test_channels_that_were_slow_share_the_threads_for_slow_channels(
    blocked: Blocked, threads: DeliveryThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.outbox.channel_workers.SEND_LIMIT", 0.2)
    monkeypatch.setattr("monitor.outbox.channel_workers._SLOW", 0.1)
    hanging = blocked.workers(*(f"hanging-{number}" for number in range(LIMIT + 2)))
    for worker in hanging:
        with pytest.raises(SendFailed):
            worker.send(MESSAGE)
    blocked.free.set()
    eventually(lambda: not any(worker.busy for worker in hanging))
    blocked.free.clear()
    monkeypatch.setattr("monitor.outbox.channel_workers.SEND_LIMIT", 30)
    threads.set_waiting([*hanging, *blocked.workers("pager")])
    threads.start()
    eventually(lambda: "pager" in blocked.sent)
    eventually(lambda: len(blocked.sending) == SLOW_LIMIT)


def test_notifier_sends_to_the_pager_before_sixty_browsers(state: Engine, blocked: Blocked) -> None:
    names = [*browsers(60), "pager"]
    outages = Outages(state, names)
    outages.sensors(1)
    outages.down(1, now=NOW - DAY)
    stop = threading.Event()
    notifier = delivery(state, channels_of(blocked, names))
    loop = threading.Thread(target=notifier.run, args=(stop.is_set,))
    loop.start()
    try:
        eventually(lambda: blocked.sent == ["pager"], 20)
        blocked.free.set()
        eventually(lambda: len(blocked.sent) == len(names), 60)
    finally:
        stop.set()
        blocked.free.set()
        loop.join(20)
    assert blocked.most <= LIMIT + 1
    assert {row.state for row in rows(state)} == {"sent"}


def channels_of(blocked: Blocked, names: Sequence[str]) -> list[_Channel]:
    return [_Channel(name, blocked) for name in names]
