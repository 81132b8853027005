"""Scheduler and notifier processes, made of the real components."""

from collections.abc import Sequence
from datetime import UTC

from monitor.incidents.flapping import FlappingRule
from monitor.incidents.hold_policy import holding
from monitor.incidents.service import Alerting
from monitor.model import MINUTE, SECOND
from monitor.outbox.channel_workers import ActiveChannel
from monitor.outbox.delivery import Delivery, DeliveryConfig
from monitor.outbox.message import Frame
from monitor.scheduler import Leadership
from monitor.staleness.sweep import Options, Sweep
from tests.delivering import watch
from tests.stateful.incident_checks import FLAPPING_OUTAGES
from tests.stateful.parts import RETENTION, Files, ReadStore
from tests.stateful.recipients import Recipient

CHANNELS = ("email", "pager")
LOST_AFTER = 200 * SECOND
GROUP_WAIT, GROUP_INTERVAL = 30 * SECOND, MINUTE
REMIND_AFTER = 30 * MINUTE

_FLAPPING = FlappingRule(FLAPPING_OUTAGES, 10 * MINUTE)
_OPTIONS = Options(threshold=3 * MINUTE, source_lost_after=LOST_AFTER, retention=RETENTION)
_ALERTING = Alerting(CHANNELS, GROUP_WAIT, GROUP_INTERVAL, _FLAPPING)
_CONFIG = DeliveryConfig(
    Frame("https://monitor.example.org", UTC),
    hold=holding(_FLAPPING),
    remind_after=REMIND_AFTER,
    recipients=lambda _connection: CHANNELS,
)
_LEASE_FOR = 3 * MINUTE


class Scheduler:
    """One scheduler process."""

    def __init__(self, files: Files, number: int) -> None:
        self.store = ReadStore(files)
        sweep = Sweep(self.store, files.engine, _OPTIONS, _ALERTING, watch(*CHANNELS))
        holder = f"scheduler {number}"
        self.leadership = Leadership(files.engine, sweep, files.clock, holder, _LEASE_FOR // 3)
        self.busy = False

    def tick(self) -> None:
        """Run one tick, unless one is already running."""
        if not self.busy:
            self.busy = True
            self.leadership.tick()
            self.busy = False


class Notifier:
    """One notifier process."""

    def __init__(self, files: Files, recipients: Sequence[Recipient]) -> None:
        served = [ActiveChannel(recipient) for recipient in recipients]
        self._delivery = Delivery(files.notifiers_engine, lambda: served, files.clock, _CONFIG)
        self.busy = False

    def tick(self, now: int) -> None:
        """Deliver what is due. Raises ProcessKilled."""
        if not self.busy:
            self.busy = True
            self._delivery.deliver_once(now)
            self.busy = False
