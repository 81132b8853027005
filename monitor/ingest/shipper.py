"""The shipper: a process that moves heartbeats from the write-ahead log to the store."""

import contextlib
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from monitor.clock import Clock
from monitor.ingest import status
from monitor.ingest.pipeline import Pipeline, SaveMetricNames
from monitor.ingest.status import ShipperStats
from monitor.ingest.wal.format import SUFFIX
from monitor.ingest.wal.reader import any_worker_alive
from monitor.model import SECOND
from monitor.store.interface import Store, StoreError
from monitor.store.line_protocol import is_source

_STEP_INTERVAL = 0.25
"""Seconds between two steps of the pipeline."""
_LOCK_RETRY = 0.5
"""Seconds between attempts to get the lock."""
_BACK_OFF = (0.25, 5.0)
"""Seconds to wait after a failure: initially, at most."""
_STOP_TIMEOUT = 10.0
"""Seconds to ship the rest at the end."""

log = logging.getLogger(__name__)


class Shipper:
    """One process of each data directory ships: the one with the lock."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        open_store: Callable[[], Store],
        save_metric_names: SaveMetricNames,
    ) -> None:
        """`directory`: the data directory. `open_store` is called only while the lock is held."""
        self._directory, self._clock = directory, clock
        self._open_store, self._save_metric_names = open_store, save_metric_names
        # The first worker may not have created it yet.
        (directory / "spool").mkdir(parents=True, exist_ok=True)
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._published_at, self._troubled = 0, False
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self) -> None:
        """Starts to ship, or to wait for the lock."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """False after a failure that no retry can repair."""
        return self._thread.is_alive()

    def _run(self) -> None:
        with (self._directory / "shipper.lock").open("ab") as lock:
            while not _locked(lock.fileno()):
                if not self._closing.is_set():
                    self._closing.wait(_LOCK_RETRY)
                elif self._last_one():
                    time.sleep(_LOCK_RETRY / 2)
                else:
                    return
            self._work()

    def _last_one(self) -> bool:
        """Whether the shipper with the lock must be stopping, too, and heartbeats may be left: this
        one was started after a killed web process, whose shipper still has the lock."""
        spool = self._directory / "spool"
        left = next(spool.glob("*" + SUFFIX), None) is not None
        return left and not any_worker_alive(spool) and time.monotonic() < self._give_up_at

    def close(self) -> None:
        """Ships the rest, and returns when no worker is left, after about 10 s at most. Heartbeats
        that are not shipped then are shipped after the next start."""
        self._give_up_at = time.monotonic() + _STOP_TIMEOUT
        self._closing.set()
        self._thread.join(_STOP_TIMEOUT + 1)

    def _work(self) -> None:
        """Ships until the end. The caller holds the lock."""
        with contextlib.ExitStack() as resources:
            pipeline: Pipeline | None = None
            back_off, trouble = 0.0, ""
            while True:
                started, closing = time.monotonic(), self._closing.is_set()
                # Looked at before the step, which ships what the last worker has left.
                last = closing and not any_worker_alive(self._directory / "spool")
                try:
                    if pipeline is None:
                        pipeline = self._open(resources)
                    more = pipeline.step()
                    if last and not more:
                        pipeline.close_coverage()
                        return
                    pause = 0.0 if more else _STEP_INTERVAL - (time.monotonic() - started)
                    back_off, trouble = 0.0, pipeline.trouble or ""
                except Exception as error:
                    # Catch any error: the shipper must not stop.
                    if str(error) != trouble:
                        expected = isinstance(error, StoreError | OSError)
                        log.error("heartbeats can't be stored: %s", error, exc_info=not expected)
                    trouble = str(error)
                    pause = back_off = min(2 * back_off, _BACK_OFF[1]) or _BACK_OFF[0]
                self._publish(trouble, pipeline)
                if not closing:
                    self._closing.wait(pause)
                elif time.monotonic() > self._give_up_at:
                    return
                else:
                    time.sleep(min(max(pause, 0.0), _BACK_OFF[0]))

    def _open(self, resources: contextlib.ExitStack) -> Pipeline:
        store = self._open_store()
        resources.callback(store.close)
        source = source_id(self._directory)
        pipeline = Pipeline(self._directory, source, store, self._clock, self._save_metric_names)
        resources.callback(pipeline.close)
        return pipeline

    def _publish(self, trouble: str, pipeline: Pipeline | None) -> None:
        now = self._clock.now()
        if 0 <= now - self._published_at < SECOND and bool(trouble) == self._troubled:
            return
        stats = pipeline.stats if pipeline else ShipperStats()
        offset = pipeline.clock_offset if pipeline else 0
        try:
            status.write(
                self._directory / status.FILE,
                status.IngestStatus(not trouble, trouble, now, stats, offset),
            )
        except OSError as error:
            log.warning("the status file can't be written: %s", error)
        self._published_at, self._troubled = now, bool(trouble)


def source_id(directory: Path) -> str:
    """The source id of this data directory, created at the first call.

    A damaged id is replaced. The sweep then waits for the old source until it counts as lost.
    """
    path = directory / "source-id"
    known = _read_source(path)
    if known is None:
        new = directory / f"source-id.{os.getpid()}.new"
        with new.open("w", encoding="ascii") as file:
            file.write(secrets.token_hex(8))
            file.flush()
            os.fsync(file.fileno())
        # If another worker was faster, its id is used.
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
        new.unlink()
        known = path.read_text("ascii")
    return known


def _read_source(path: Path) -> str | None:
    """The stored source id, or None if there is none. A damaged file is moved away."""
    try:
        source = path.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if is_source(source):
        return source
    aside = path.with_name("source-id.damaged")
    path.replace(aside)
    log.error("%s is damaged and was replaced; the old file is kept as %s", path, aside)
    return None


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
