"""The notifier's work: claims messages that are due, sends them, records what became of them."""

import logging
import os
import random
import secrets
import socket
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from sqlalchemy import Engine

from monitor.channels.interface import Channel, Message, SendFailed
from monitor.clock import Clock
from monitor.model import SECOND, parse_time
from monitor.outbox import message, policy
from monitor.state import notifications
from monitor.state.database import StateUnavailable
from monitor.state.freezing import Occasion
from monitor.state.notifications import Body, Claim

CLAIM = 60 * SECOND
"""How long a claim holds; after it another notifier sends the message again."""

SEND_LIMIT = 30
"""Seconds a channel may take, whatever it is doing: well below CLAIM."""

_POLL = 1.0
_LOOK = 3600.0
_BACK_OFF = 5.0
_RECORD_PAUSES = (0.5, 2.0, 5.0)

_log = logging.getLogger(__name__)


class Delivery:
    """Delivers over each channel in a thread of its own, so that none holds up another."""

    def __init__(
        self, engine: Engine, channels: Sequence[Channel], clock: Clock, base_url: str
    ) -> None:
        self._engine, self._clock, self._base_url = engine, clock, base_url
        self._outlets = [_Outlet(channel) for channel in channels]
        host = socket.gethostname()[:40]
        self._holder = f"{host}:{os.getpid()}:{secrets.token_hex(4)}"

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then what is being sent is still finished and recorded."""
        threads = [
            threading.Thread(
                target=_repeat, args=(partial(self._deliver_due, outlet, stop), _POLL, stop)
            )
            for outlet in self._outlets
        ]
        threads.append(threading.Thread(target=_repeat, args=(self._fail_unserved, _LOOK, stop)))
        for thread in threads:
            thread.start()
        # Not stop.wait(): a signal handler that sets `stop` runs in this thread, and would wait
        # for a lock that the interrupted wait() holds.
        while not stop.is_set():
            time.sleep(_POLL)
        for thread in threads:
            thread.join()

    def deliver_once(self, now: int) -> int:
        """Try everything that is due at `now`; how many messages were tried.

        Raises StateUnavailable.
        """
        tried = 0
        for outlet in self._outlets:
            while self._deliver(outlet, lambda: now):
                tried += 1
        return tried

    def _deliver_due(self, outlet: "_Outlet", stop: threading.Event) -> None:
        while not stop.is_set() and self._deliver(outlet, self._clock.now):
            pass

    def _fail_unserved(self) -> None:
        now = self._clock.now()
        served = [outlet.name for outlet in self._outlets]
        notifications.fail_unserved(self._engine, served, now - policy.GIVE_UP_AFTER, now)

    def _deliver(self, outlet: "_Outlet", clock: Callable[[], int]) -> bool:
        """Try the next message due on a channel; False when there is none."""
        if outlet.busy():
            return False
        claim = notifications.claim(
            self._engine, outlet.name, self._holder, clock(), CLAIM, self._compose
        )
        if claim is None:
            return False
        try:
            outlet.send(_message(claim.key, claim.body))
        except SendFailed as failure:
            self._record_failure(outlet, claim, failure, clock())
        else:
            self._record_sent(outlet, claim, clock())
        return True

    def _compose(self, occasion: Occasion) -> Body:
        return message.compose(*occasion, base_url=self._base_url)

    def _record_sent(self, outlet: "_Outlet", claim: Claim, now: int) -> None:
        _log.info("%s %s %s sent (attempt %d)", outlet.name, claim.kind, claim.key, claim.attempt)
        _insist(claim, lambda: notifications.record_sent(self._engine, claim, now))

    def _record_failure(
        self, outlet: "_Outlet", claim: Claim, failure: SendFailed, now: int
    ) -> None:
        again = None
        if not failure.permanent:
            frozen_at = parse_time(claim.body["time"])
            chance = random.random()  # noqa: S311 (spreads retries, guards nothing)
            again = policy.next_attempt(claim.attempt, frozen_at, now, chance, failure.retry_after)
        _log.warning(
            "%s %s %s not sent (attempt %d), %s: %s",
            outlet.name,
            claim.kind,
            claim.key,
            claim.attempt,
            "given up" if again is None else "will be tried again",
            failure.detail,
        )
        _insist(
            claim,
            lambda: (
                notifications.record_failed(self._engine, claim, failure.detail, now)
                if again is None
                else notifications.record_retry(self._engine, claim, failure.detail, again, now)
            ),
        )


def _repeat(work: Callable[[], None], pause: float, stop: threading.Event) -> None:
    """Do it every `pause` seconds until `stop` is set, whatever goes wrong."""
    while not stop.is_set():
        try:
            work()
        except StateUnavailable as error:
            _log.warning("delivery waits for the state database: %s", error)
            stop.wait(_BACK_OFF)
        except Exception:  # noqa: BLE001 (a notifier that died of a fault would deliver nothing)
            _log.exception("delivery failed, and goes on")
            stop.wait(_BACK_OFF)
        else:
            stop.wait(pause)


def _insist(claim: Claim, record: Callable[[], bool]) -> None:
    """Record the result even if the state is away for a moment: else it would be sent again.

    Raises StateUnavailable once it has been away for longer.
    """
    for pause in _RECORD_PAUSES:
        try:
            recorded = record()
            break
        except StateUnavailable:
            time.sleep(pause)
    else:
        recorded = record()
    if not recorded:
        _log.warning("%s: the claim ran out, another notifier has taken over", claim.key)


def send_test(channel: Channel, now: int, base_url: str) -> None:
    """Send a message about nothing. Raises SendFailed."""
    body = message.compose_test(now, base_url)
    _Outlet(channel).send(_message(secrets.token_hex(16), body))


def _message(key: str, body: Body) -> Message:
    return Message(
        key=key,
        kind=body["kind"],
        time=parse_time(body["time"]),
        subject=body["subject"],
        text=body["text"],
        data={"key": key, **body},
    )


class _Outlet:
    """A channel that answers in bounded time, whatever it hangs in."""

    def __init__(self, channel: Channel) -> None:
        self.name = channel.name
        self._channel = channel
        self._sender: threading.Thread | None = None

    def busy(self) -> bool:
        """Whether a message given up on is still being sent."""
        return self._sender is not None and self._sender.is_alive()

    def send(self, message: Message) -> None:
        """Raises SendFailed, also for a channel's own faults."""
        result: Future[None] = Future()

        def work() -> None:
            try:
                self._channel.send(message)
            except BaseException as error:  # noqa: BLE001 (handed to the waiting thread)
                result.set_exception(error)
            else:
                result.set_result(None)

        self._sender = threading.Thread(target=work, name=f"send-{self.name}", daemon=True)
        self._sender.start()
        try:
            failure = result.exception(SEND_LIMIT)
        except TimeoutError:
            detail = f"not finished within {SEND_LIMIT} s"
            raise SendFailed(detail, permanent=False) from None
        if isinstance(failure, SendFailed):
            raise failure
        if failure is not None:
            # Its text may hold a secret: only its kind and place are told.
            place = "".join(traceback.format_tb(failure.__traceback__))
            _log.error("channel %s: %s\n%s", self.name, type(failure).__name__, place)
            raise SendFailed(f"a fault of the channel ({type(failure).__name__})", permanent=False)
