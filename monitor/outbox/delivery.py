"""The notifier: claims messages that are due, sends them, and records the outcome."""

import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from monitor.channels.interface import Channel, SendFailed
from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.model import MINUTE, SECOND, MessageContext, parse_time
from monitor.outbox import (
    claims,
    message,
    notifications,
    outcomes,
    policy,
    served_channels,
    trouble,
)
from monitor.outbox.candidates import Hold, RecipientConfig
from monitor.outbox.channel_workers import (
    ActiveChannel,
    ChannelSource,
    ChannelWorker,
    ChannelWorkers,
    message_of,
)
from monitor.outbox.claims import Claim
from monitor.outbox.delivery_threads import DeliveryThreads
from monitor.outbox.message import Frame
from monitor.outbox.notifications import Body
from monitor.outbox.resending import resend
from monitor.state import channels
from monitor.state.database import writing

CLAIM = 60 * SECOND
"""How long a claim is valid. After it, another notifier can send the message."""

_POLL = 1.0
_TURN = 5.0
_MAINTAIN_EVERY = 10.0
_RECORD_SERVED_EVERY = 1 * MINUTE
_BACK_OFF = 5.0
_RECORD_PAUSES = (0.5, 2.0, 5.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryConfig:
    """How messages are written and held, and which channels receive notices."""

    frame: Frame
    hold: Hold = lambda _connection, _members, _kind, _now: {}
    remind_after: int | None = None
    """Ms between reminders about incidents that are not acknowledged."""
    resend_interval: int = MINUTE
    """Ms after which open alerts are sent again to receivers that would otherwise forget them."""
    acknowledge_link: Callable[[int, str, int], str] | None = None
    """(notification id, channel, now) -> the link that acknowledges without a login."""
    recipients: Callable[[Connection], Collection[str]] = lambda _connection: ()
    """Returns the channels that receive notices."""
    check_sweeps: Callable[[Engine, int], None] = lambda _engine, _now: None
    """(state, now). Called every few seconds, to report that sweeps no longer succeed."""


class Delivery:
    """Delivers on several channels at a time, so that no channel delays another."""

    def __init__(
        self, engine: Engine, source: ChannelSource, clock: Clock, config: DeliveryConfig
    ) -> None:
        self._engine, self._clock, self._config = engine, clock, config
        self._channel_workers = ChannelWorkers(source)
        host = socket.gethostname()[:40]
        self._holder = f"{host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._started_at = self._recorded_at = 0
        self._recorded: dict[str, tuple[str, ...]] = {}

    def run(self, ended: Callable[[], object]) -> None:
        """Delivers until `ended` returns a true value, then finishes the sends that are running."""
        maintained = polled = 0.0
        threads = DeliveryThreads(lambda worker: self._deliver_due(worker, ended))
        while not ended():
            pause = _POLL
            try:
                if time.monotonic() - maintained >= _MAINTAIN_EVERY:
                    # Set first: an error in there must not keep messages from being sent.
                    maintained = time.monotonic()
                    self._maintain(self._clock.now())
                if time.monotonic() - polled >= _POLL:
                    polled = time.monotonic()
                    threads.set_waiting(self._workers_due())
                threads.start()
            except StateUnavailable as error:
                _log.warning("delivery is waiting for the state database: %s", error)
                pause = _BACK_OFF
            except Exception:  # noqa: BLE001 (a notifier that stops would deliver nothing)
                _log.exception("delivery failed unexpectedly; it will be tried again")
                pause = _BACK_OFF
            threads.wait(pause)
        threads.join()

    def deliver_once(self, now: int) -> int:
        """Tries every message that is due at `now`. Returns how many. Raises StateUnavailable."""
        self._maintain(now)
        tried = 0
        for worker in list(self._channel_workers.by_name.values()):
            while self._deliver(worker, lambda: now):
                tried += 1
            self._resend(worker, lambda: now, lambda: True)
        return tried

    def _maintain(self, now: int) -> None:
        """Applies changes of the channels, and enqueues notices about failures."""
        self._started_at = self._started_at or now
        self._config.check_sweeps(self._engine, now)
        self._refresh_channels(now)
        trouble.report(self._engine, self._config.recipients, self._config.frame, now)
        served_channels.cancel_disabled(self._engine, now)
        if now - self._started_at >= policy.UNSERVED_AFTER:  # other notifiers may be starting, too
            served_channels.fail_unserved(self._engine, now - policy.UNSERVED_AFTER, now)

    def _refresh_channels(self, now: int) -> None:
        self._channel_workers.refresh()
        served = {
            name: tuple(worker.active_channel.recipients)
            for name, worker in self._channel_workers.by_name.items()
        }
        if served != self._recorded or not 0 <= now - self._recorded_at < _RECORD_SERVED_EVERY:
            served_channels.record(self._engine, served, now)
            self._recorded, self._recorded_at = served, now

    def _workers_due(self) -> list[ChannelWorker]:
        """The workers that have a message to send, now or again."""
        names = set(claims.due_channels(self._engine, self._clock.now()))
        now = time.monotonic()
        return [
            worker
            for worker in self._channel_workers.by_name.values()
            if worker.name in names
            or (worker.active_channel.lasting is not None and now >= worker.resend_at)
        ]

    def _deliver_due(self, worker: ChannelWorker, ended: Callable[[], object]) -> None:
        """Sends the due messages of one channel. Stops after a few seconds: others are waiting."""
        turn_ends = time.monotonic() + _TURN
        try:
            while (
                not ended()
                and time.monotonic() < turn_ends
                and self._deliver(worker, self._clock.now)
            ):
                pass
            if time.monotonic() >= worker.resend_at and not worker.busy:
                worker.resend_at = time.monotonic() + _MAINTAIN_EVERY
                self._resend(worker, self._clock.now, lambda: not ended())
        except StateUnavailable as error:
            _log.warning("delivery on %s is waiting for the state database: %s", worker.name, error)
            worker.paused_until = time.monotonic() + _BACK_OFF
        except Exception:  # noqa: BLE001 (the next poll tries again)
            _log.exception(
                "delivery on %s failed unexpectedly; it will be tried again", worker.name
            )
            worker.paused_until = time.monotonic() + _BACK_OFF

    def _resend(
        self, worker: ChannelWorker, clock: Callable[[], int], go_on: Callable[[], bool]
    ) -> None:
        """Sends open alerts again; messages that become due in between go first."""

        def deliver_first() -> bool:
            while go_on() and self._deliver(worker, clock):
                pass
            return go_on() and not worker.busy

        resend(self._engine, worker, self._config.resend_interval, clock, deliver_first)

    def _deliver(self, worker: ChannelWorker, clock: Callable[[], int]) -> bool:
        """Tries the channel's next message. False: none is due, or a send is still running."""
        if worker.busy:
            return False
        config = RecipientConfig(
            self._config.hold,
            worker.active_channel.tracks,
            worker.active_channel.budget,
            worker.active_channel.recipients,
        )
        claim = claims.claim(
            self._engine, worker.name, self._holder, clock(), CLAIM, self._compose, config
        )
        if claim is None:
            return False
        try:
            worker.send(message_of(claim.key, claim.body, claim.recipient))
        except SendFailed as failure:
            self._record_failure(worker, claim, failure, clock())
        else:
            self._record_sent(worker, claim, clock())
        return True

    def _compose(self, context: MessageContext) -> Body:
        link = None
        if self._config.acknowledge_link and context.kind in ("down", "reminder"):
            link = self._config.acknowledge_link(
                context.notification, context.channel, context.time
            )
        return message.compose(context, self._config.frame, link)

    def _record_sent(self, worker: ChannelWorker, claim: Claim, now: int) -> None:
        _log.info(
            "channel %s: %s %s sent (attempt %d)",
            worker.name,
            claim.kind,
            claim.key,
            claim.attempt,
            extra=_about(claim),
        )
        # Open alerts are sent again to such a receiver anyway: it needs no reminder.
        lasting = worker.active_channel.lasting
        remind_after = None if lasting is not None else self._config.remind_after
        _record_persistently(
            claim, lambda: outcomes.record_sent(self._engine, claim, now, remind_after)
        )

    def _record_failure(
        self, worker: ChannelWorker, claim: Claim, failure: SendFailed, now: int
    ) -> None:
        again = None
        if not failure.permanent:
            frozen_at = parse_time(claim.body["time"])
            chance = random.random()  # noqa: S311 (spreads retries; no security)
            again = policy.next_attempt(claim.attempt, frozen_at, now, chance, failure.retry_after)
        _log.warning(
            "channel %s: %s %s not sent (attempt %d), %s: %s",
            worker.name,
            claim.kind,
            claim.key,
            claim.attempt,
            "no more attempts" if again is None else "will be tried again",
            failure.detail,
            extra=_about(claim),
        )
        _record_persistently(
            claim,
            lambda: (
                outcomes.record_failed(self._engine, claim, failure.detail, now)
                if again is None
                else outcomes.record_retry(self._engine, claim, failure.detail, again, now)
            ),
        )
        if failure.gone:
            with writing(self._engine) as connection:
                if channels.remove_gone(connection, claim.channel):
                    notifications.cancel_for_channel(connection, claim.channel, failure.detail, now)


def _record_persistently(claim: Claim, record: Callable[[], bool]) -> None:
    """Calls `record` until the state is available: an unrecorded message would be sent again.

    Raises StateUnavailable after a few attempts.
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
        _log.warning("message %s: the claim expired; another notifier has taken it over", claim.key)


def send_test(channel: Channel, now: int, frame: Frame) -> None:
    """Sends a test message. Raises SendFailed."""
    body = message.compose_test(now, frame)
    ChannelWorker(ActiveChannel(channel)).send(message_of(secrets.token_hex(16), body))


def _about(claim: Claim) -> dict[str, str]:
    """The sensor for the log, if the message is about one."""
    members = claim.body["members"]
    return {"sensor": members[0]["mac"]} if len(members) == 1 else {}
