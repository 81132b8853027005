"""The shipper process."""

import functools
import signal
import time
from collections.abc import Mapping

from monitor.bootstrap.memory import collect_seldom
from monitor.bootstrap.stores import open_store
from monitor.clock import Clock
from monitor.ingest.shipper import Shipper
from monitor.model import DAY
from monitor.settings import Settings

_SIGNAL_INTERVAL = 0.1
"""Seconds between two looks for a signal."""


def run(settings: Settings) -> None:
    """Ships until SIGTERM, and then the rest. The web process sends it after its last worker has
    ended; SIGINT and SIGHUP, which a terminal sends to all processes at once, would be too
    early."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    shipper = Shipper(
        settings.data_directory,
        Clock(),
        lambda: open_store(settings, writable=True),
        functools.partial(_save_metric_names, settings),
    )
    collect_seldom()
    shipper.start()
    # No time-out: when a suspension interrupts it, sigtimedwait returns as if the signal had come.
    while shipper.running and signal.sigtimedwait({signal.SIGTERM}, 0) is None:
        time.sleep(_SIGNAL_INTERVAL)
    shipper.close()


def _save_metric_names(settings: Settings, senders: Mapping[str, int]) -> None:
    """Raises StateUnavailable."""
    # Imported only when there is a name to save: the database library takes 17 MB of memory.
    from monitor.ingest.registry import metric_name_saver
    from monitor.state.database import open_state

    engine = open_state(settings.state_url)
    try:
        metric_name_saver(engine, settings.store.retention_days * DAY)(senders)
    finally:
        engine.dispose()
