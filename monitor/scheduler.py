"""The scheduler process: the sweep as an APScheduler job. Only the leader sweeps."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine

from monitor.clock import WRONG_CLOCK, Clock
from monitor.errors import StateUnavailable
from monitor.model import MINUTE, SECOND, format_mac
from monitor.staleness.sweep import Sweep
from monitor.state import leases, retention
from monitor.state.leases import Lease, LeaseLost
from monitor.state.retention import RetentionConfig
from monitor.store.interface import StoreUnavailable
from monitor.watchdog import Watchdog

logger = logging.getLogger(__name__)

_LEASE = "scheduler"
_SHORTEST_LEASE = 15 * SECOND
_LONGEST_SWEEP = 15 * MINUTE
"""A sweep that takes longer (ms) hangs. Its lease is not renewed, so that another process becomes
leader, and this process exits, so that it is restarted."""

_RETENTION_INTERVAL, _LONGEST_RETENTION = 60, 10.0
"""Seconds between two runs of the retention job, and the maximum length of a run."""

_MOST_LOGGED = 20
"""Sensors of one sweep that the log names."""
_PAUSE = 0.05
"""Seconds between two transactions of the retention job, to let other writers in."""


class _WrongClock(Exception):
    """This process must not judge, because its clock is wrong."""


class Leadership:
    """One scheduler process: the leader while it has the lease, otherwise a standby."""

    def __init__(
        self,
        engine: Engine,
        sweep: Sweep,
        clock: Clock,
        holder: str,
        interval: int,
        watchdog: Watchdog | None = None,
        kept: RetentionConfig | None = None,
    ) -> None:
        """`interval`: ms between ticks; `holder`: this process's name in the lease; `kept`: if it
        is None, nothing is deleted."""
        self._engine, self._sweep, self._clock, self._holder = engine, sweep, clock, holder
        self._watchdog, self._kept_for = watchdog, kept
        self._stopping = threading.Event()
        self._duration = max(_SHORTEST_LEASE, 3 * interval)
        self._lease: Lease | None = None
        self._trouble = ""
        self._ticking_since: float | None = None

    @property
    def hangs(self) -> bool:
        """Whether the current tick has taken so long that it hangs."""
        since = self._ticking_since
        return since is not None and time.monotonic() - since > _LONGEST_SWEEP / SECOND

    def tick(self) -> None:
        """Renews or acquires the lease, then sweeps or watches.

        Errors are logged and recorded in the state. After an error this process releases the lease,
        so that another one can become leader, and tries again at the next tick.
        """
        self._ticking_since = time.monotonic()
        try:
            self._tick()
        finally:
            self._ticking_since = None

    def _tick(self) -> None:
        hindrance = ""
        try:
            self._judge()
            self._note("")
        except LeaseLost as error:
            self._lease = None
            self._note(str(error))
            hindrance = "The scheduler's lease expired during the sweep."
        except StateUnavailable as error:
            self._note(f"the state database is not available: {error}")
        except _WrongClock as error:
            self._note(str(error))
            hindrance = f"{error}."
        except StoreUnavailable as error:
            self._note(f"the heartbeat store is not available: {error}")
            hindrance = "The heartbeat store can't be reached, or does not answer in time."
        except Exception as error:
            name = type(error).__name__
            if self._note(name):
                logger.exception("the sweep failed; it will be tried again")
            hindrance = (
                f"The sweep fails with an unexpected error ({name}). See the scheduler's log."
            )
        if hindrance:
            self.step_down()
        self._check_sweeps(hindrance)

    def _judge(self) -> None:
        offset = self._sweep.clock_offset(self._clock)
        if abs(offset) > WRONG_CLOCK:
            raise _WrongClock(
                f"The clock of {self._holder.partition(':')[0]} and that of the heartbeat store "
                f"differ by more than {WRONG_CLOCK // SECOND} s"
            )
        self._hold()
        if self._lease is None:
            self._sweep.watch(self._clock.now())
        else:
            self._lead(self._lease)

    def _lead(self, lease: Lease) -> None:
        with self._renewing(lease):
            outcome = self._sweep.run(lease, self._clock.now())
        if outcome.opened or outcome.closed:
            counts = len(outcome.opened), len(outcome.closed)
            logger.info("incidents opened: %d, closed: %d", *counts)
        for macs, event in ((outcome.opened, "is down"), (outcome.closed, "is not down any more")):
            for mac in macs[:_MOST_LOGGED]:
                logger.info("the sensor %s", event, extra={"sensor": format_mac(mac)})
        if self._watchdog is not None:
            self._watchdog.swept(outcome.horizon, self._clock.now())

    @contextmanager
    def _renewing(self, lease: Lease) -> Iterator[None]:
        """Renews the lease in a thread, for a sweep that takes longer than the lease."""
        done = threading.Event()
        thread = threading.Thread(target=self._renew, args=(lease, done), name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _renew(self, lease: Lease, done: threading.Event) -> None:
        while not done.wait(self._duration / 3 / SECOND):
            if self.hangs:
                return
            try:
                if not leases.renew(self._engine, lease, self._duration):
                    return
            except StateUnavailable as error:
                logger.warning("the lease is not renewed yet: %s", error)
            self._check_sweeps("")

    def _check_sweeps(self, hindrance: str) -> None:
        try:
            self._sweep.check_sweeps(hindrance, self._clock.now())
        except StateUnavailable as error:
            logger.warning("can't check whether monitoring is behind: %s", error)
        except Exception:
            logger.exception("can't check whether monitoring is behind")

    def tidy(self) -> None:
        """If this process is the leader: deletes old rows and merges counters, in small
        transactions and for at most ten seconds. The next run continues. Errors are logged."""
        lease, ends_at = self._lease, time.monotonic() + _LONGEST_RETENTION

        def may_continue() -> bool:
            return not self._stopping.wait(_PAUSE) and time.monotonic() < ends_at

        if lease is None or self._kept_for is None:
            return
        try:
            deleted = retention.prune(
                self._engine, lease, self._kept_for, self._clock.now(), may_continue
            )
            if deleted:
                logger.info("deleted %d rows that were older than the retention times", deleted)
        except (LeaseLost, StateUnavailable) as error:
            logger.warning("retention failed; it will be tried again: %s", error)

    def stop_tidying(self) -> None:
        """Makes `tidy` return soon. Must not be called from a signal handler."""
        self._stopping.set()

    def step_down(self) -> None:
        """Releases the lease, so that another process can become leader at once."""
        if self._lease is not None:
            try:
                leases.release(self._engine, self._lease)
            except StateUnavailable as error:
                logger.warning("the lease was not released; it expires by itself: %s", error)
            self._lease = None

    def _hold(self) -> None:
        if self._lease and not leases.renew(self._engine, self._lease, self._duration):
            self._lease = None
            logger.warning("the lease expired; standing by")
        if self._lease is None:
            self._lease = leases.acquire(self._engine, _LEASE, self._holder, self._duration)
            if self._lease and not self._trouble:
                logger.info("this scheduler leads (lease generation %d)", self._lease.generation)

    def _note(self, trouble: str) -> bool:
        """Logs an error when it starts, changes or ends. Returns whether it changed."""
        if trouble == self._trouble:
            return False
        if trouble:
            logger.warning("sweep postponed: %s", trouble)
        else:
            logger.info("sweeping again")
        self._trouble = trouble
        return True


def run(leadership: Leadership, interval: int) -> None:
    """Ticks now and then every `interval` ms until SIGTERM or SIGINT. If a sweep hangs, exits the
    process."""
    # Each job has its own thread, so that the retention job does not delay sweeps.
    executors = {name: ThreadPoolExecutor(max_workers=1) for name in ("default", "tidying")}
    scheduler = BackgroundScheduler(timezone=UTC, executors=executors)
    job = scheduler.add_job(
        leadership.tick,
        "interval",
        seconds=interval / SECOND,
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
        next_run_time=datetime.now(UTC),
    )
    tidying = scheduler.add_job(
        leadership.tidy,
        "interval",
        seconds=_RETENTION_INTERVAL,
        executor="tidying",
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
    )
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    scheduler.start()
    # Short sleeps instead of an Event: a signal handler that sets it could deadlock.
    clock = Clock()
    while not stopped:
        time.sleep(0.2)
        if leadership.hangs:
            logger.error("the sweep hangs; this process exits, and its lease expires")
            os._exit(1)  # any other exit would wait for the hanging thread
        steps = clock.steps
        clock.now()
        if clock.steps != steps:
            # APScheduler uses the wall clock: after a step back it would wait for too long.
            for each in (job, tidying):
                each.modify(next_run_time=datetime.now(UTC))
    leadership.stop_tidying()
    scheduler.shutdown(wait=True)
    leadership.step_down()
