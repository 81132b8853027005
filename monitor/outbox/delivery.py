"""The notifier's work: claims messages that are due, sends them, records what became of them."""

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
from monitor.outbox import claims, message, notifications, policy, served_channels, trouble
from monitor.outbox.candidates import Hold, RecipientConfig
from monitor.outbox.channel_workers import Outlet, Outlets, Served, Supply, message_of
from monitor.outbox.claims import Claim
from monitor.outbox.message import Frame
from monitor.outbox.notifications import Body
from monitor.outbox.resending import renew
from monitor.outbox.workers import Workers
from monitor.state import channels
from monitor.state.database import writing

CLAIM = 60 * SECOND
"""How long a claim holds; after it another notifier sends the message again."""

_POLL = 1.0
_TURN = 5.0
_LOOK_AFTER = 10.0
_MARK_AFTER = 1 * MINUTE
_BACK_OFF = 5.0
_RECORD_PAUSES = (0.5, 2.0, 5.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryConfig:
    """How messages are written, and to whom trouble with a channel is told."""

    frame: Frame
    hold: Hold = lambda _connection, _members, _kind, _now: {}
    remind_after: int | None = None
    """Ms between reminders of those that are still silent, until acknowledged."""
    renew_every: int = MINUTE
    """Ms after which what stands is sent again to receivers that would forget it."""
    acknowledge_link: Callable[[int, str, int], str] | None = None
    """(notification, channel, now) -> the link by which its recipient can answer for it."""
    recipients: Callable[[Connection], Collection[str]] = lambda _connection: ()
    """The channels that receive notices."""
    look_out: Callable[[Engine, int], None] = lambda _engine, _now: None
    """(state, now): called every few seconds, to notice what no other process would."""


class Delivery:
    """Delivers over several channels at a time, so that none holds up another."""

    def __init__(
        self, engine: Engine, supply: Supply, clock: Clock, manner: DeliveryConfig
    ) -> None:
        self._engine, self._clock, self._manner = engine, clock, manner
        self._outlets = Outlets(supply)
        host = socket.gethostname()[:40]
        self._holder = f"{host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._began = self._marked_at = 0
        self._marked: dict[str, tuple[str, ...]] = {}

    def run(self, ended: Callable[[], object]) -> None:
        """Until `ended` answers so; then what is being sent is still finished and recorded."""
        looked_after = polled = 0.0
        workers = Workers(lambda outlet: self._deliver_due(outlet, ended))
        while not ended():
            pause = _POLL
            try:
                if time.monotonic() - looked_after >= _LOOK_AFTER:
                    # First: what fails there must not keep messages from being sent.
                    looked_after = time.monotonic()
                    self._look_after(self._clock.now())
                if time.monotonic() - polled >= _POLL:
                    polled = time.monotonic()
                    workers.offer(self._due())
                workers.start()
            except StateUnavailable as error:
                _log.warning("delivery is waiting for the state database: %s", error)
                pause = _BACK_OFF
            except Exception:  # noqa: BLE001 (a notifier that died of a fault would deliver nothing)
                _log.exception("delivery failed; it continues")
                pause = _BACK_OFF
            workers.wait(pause)
        workers.join()

    def deliver_once(self, now: int) -> int:
        """Try everything that is due at `now`; how many messages were tried.

        Raises StateUnavailable.
        """
        self._look_after(now)
        tried = 0
        for outlet in list(self._outlets.by_name.values()):
            while self._deliver(outlet, lambda: now):
                tried += 1
            self._renew(outlet, lambda: now, lambda: True)
        return tried

    def _look_after(self, now: int) -> None:
        """Follow changes of the channels, and notify people of what is in trouble."""
        self._began = self._began or now
        self._manner.look_out(self._engine, now)
        self._follow_channels(now)
        trouble.report(self._engine, self._manner.recipients, self._manner.frame, now)
        served_channels.cancel_switched_off(self._engine, now)
        if now - self._began >= policy.UNSERVED_AFTER:  # others may just be starting, too
            served_channels.give_up_unserved(self._engine, now - policy.UNSERVED_AFTER, now)

    def _follow_channels(self, now: int) -> None:
        self._outlets.refresh()
        served = {
            name: tuple(each.served.recipients) for name, each in self._outlets.by_name.items()
        }
        if served != self._marked or not 0 <= now - self._marked_at < _MARK_AFTER:
            served_channels.mark(self._engine, served, now)
            self._marked, self._marked_at = served, now

    def _due(self) -> list[Outlet]:
        """The outlets that have work."""
        names = set(claims.due_channels(self._engine, self._clock.now()))
        now = time.monotonic()
        return [
            outlet
            for outlet in self._outlets.by_name.values()
            if outlet.name in names
            or (outlet.served.lasting is not None and now >= outlet.renews_at)
        ]

    def _deliver_due(self, outlet: Outlet, ended: Callable[[], object]) -> None:
        """All that is due on one, or as much of it as leaves the others their turn."""
        turn_ends = time.monotonic() + _TURN
        try:
            while (
                not ended()
                and time.monotonic() < turn_ends
                and self._deliver(outlet, self._clock.now)
            ):
                pass
            if time.monotonic() >= outlet.renews_at and not outlet.busy:
                outlet.renews_at = time.monotonic() + _LOOK_AFTER
                self._renew(outlet, self._clock.now, lambda: not ended())
        except StateUnavailable as error:
            _log.warning("delivery on %s is waiting for the state database: %s", outlet.name, error)
            outlet.rests_until = time.monotonic() + _BACK_OFF
        except Exception:  # noqa: BLE001 (the next poll tries again)
            _log.exception("delivery on %s failed; it continues", outlet.name)
            outlet.rests_until = time.monotonic() + _BACK_OFF

    def _renew(self, outlet: Outlet, clock: Callable[[], int], go_on: Callable[[], bool]) -> None:
        """Send again what stands; messages that come due meanwhile go first."""

        def deliver_first() -> bool:
            while go_on() and self._deliver(outlet, clock):
                pass
            return go_on() and not outlet.busy

        renew(self._engine, outlet, self._manner.renew_every, clock, deliver_first)

    def _deliver(self, outlet: Outlet, clock: Callable[[], int]) -> bool:
        """Try the next message due on a channel; False when there is none."""
        if outlet.busy:
            return False
        terms = RecipientConfig(
            self._manner.hold,
            outlet.served.tracks,
            outlet.served.budget,
            outlet.served.recipients,
        )
        claim = claims.claim(
            self._engine, outlet.name, self._holder, clock(), CLAIM, self._compose, terms
        )
        if claim is None:
            return False
        try:
            outlet.send(message_of(claim.key, claim.body, claim.recipient))
        except SendFailed as failure:
            self._record_failure(outlet, claim, failure, clock())
        else:
            self._record_sent(outlet, claim, clock())
        return True

    def _compose(self, occasion: MessageContext) -> Body:
        link = None
        if self._manner.acknowledge_link and occasion.kind in ("down", "reminder"):
            link = self._manner.acknowledge_link(
                occasion.notification, occasion.channel, occasion.time
            )
        return message.compose(occasion, self._manner.frame, link)

    def _record_sent(self, outlet: Outlet, claim: Claim, now: int) -> None:
        _log.info("%s %s %s sent (attempt %d)", outlet.name, claim.kind, claim.key, claim.attempt)
        # Where all that stands is sent again anyway there is nothing to remind of.
        remind_after = None if outlet.served.lasting is not None else self._manner.remind_after
        _insist(claim, lambda: claims.record_sent(self._engine, claim, now, remind_after))

    def _record_failure(self, outlet: Outlet, claim: Claim, failure: SendFailed, now: int) -> None:
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
            "no more attempts" if again is None else "will be tried again",
            failure.detail,
        )
        _insist(
            claim,
            lambda: (
                claims.record_failed(self._engine, claim, failure.detail, now)
                if again is None
                else claims.record_retry(self._engine, claim, failure.detail, again, now)
            ),
        )
        if failure.gone:
            with writing(self._engine) as connection:
                if channels.remove_gone(connection, claim.channel):
                    notifications.drop_channel(connection, claim.channel, failure.detail, now)


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
        _log.warning("%s: the claim expired; another notifier has taken over", claim.key)


def send_test(channel: Channel, now: int, frame: Frame) -> None:
    """Send a message about nothing. Raises SendFailed."""
    body = message.compose_test(now, frame)
    Outlet(Served(channel)).send(message_of(secrets.token_hex(16), body))
