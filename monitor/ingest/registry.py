"""Each worker's copy of what the door must know: sensors, thresholds, tokens, metric names."""

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Engine

from monitor.errors import StateUnavailable
from monitor.ingest.fields import MOST_METRIC_NAMES, MOST_METRICS
from monitor.model import SECOND
from monitor.state import metric_names, sensors, tokens
from monitor.state.database import reading, writing

_REFRESH = 2.0
"""Seconds between readings of the state."""

log = logging.getLogger(__name__)


class RegistryChanges(NamedTuple):
    """What the state says, as far as it is newer than a version."""

    version: int
    complete: bool
    """`sensors` is all there are, not only what changed."""
    sensors: Collection[tuple[int, int | None, bool]]
    """(mac, threshold in ms or None, forgotten)"""
    token_required: bool
    token_digests: frozenset[bytes]
    metric_names: Mapping[str, int | None]
    """name -> the sensor that sent it first, as far as that is known"""


Load = Callable[[int], RegistryChanges]
"""Reads what is newer than a version (0: everything). Raises StateUnavailable."""


def from_state(engine: Engine, retention: int) -> Load:
    """Read from the state database; names of metrics that were not sent for `retention` (ms) are
    free again."""

    def load(version: int) -> RegistryChanges:
        with reading(engine) as connection:
            current = sensors.current_version(connection)
            required, digests = tokens.active(connection)
            names = metric_names.in_use(connection, retention)
        # A state put back from a backup is older than the copy.
        since = version if version <= current else 0
        changed = sensors.newer(engine, since)
        return RegistryChanges(
            version=current,
            complete=since == 0,
            sensors=[(s.mac, s.threshold, s.forgotten_at is not None) for s in changed],
            token_required=required,
            token_digests=digests,
            metric_names=names,
        )

    return load


def noting_metrics(engine: Engine, retention: int) -> Callable[[Mapping[str, int]], None]:
    """Write names of metrics, each with a sensor that sent it, to the state database; raises
    StateUnavailable."""

    def note(senders: Mapping[str, int]) -> None:
        with writing(engine) as connection:
            metric_names.note(connection, senders, retention)

    return note


class Registry:
    """A copy that is at most some seconds old, or as old as the state has been out of reach."""

    def __init__(
        self, load: Load, default_threshold: int, settings_token: str, max_sensors: int
    ) -> None:
        """`default_threshold` in ms; `settings_token`: always valid, "" for none."""
        self._load = load
        self._max_sensors = max_sensors
        self._default = _seconds(default_threshold)
        self._settings_digests = frozenset({_digest(settings_token)} if settings_token else ())
        self._version = 0
        self._known: set[int] = set()
        self._new: set[int] = set()
        self._thresholds: dict[int, str] = {}
        self._metrics: dict[str, int | None] = {}
        self._new_metrics: dict[str, int | None] = {}
        self._brought: Counter[int | None] = Counter()
        self._digests = self._settings_digests
        self._admitted: set[str] = set()
        self.token_required: bool | None = None
        """None: the state was never read, so nobody knows."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry", daemon=True)

    def start(self) -> None:
        """Read the state, now if it can be reached, and again every other second."""
        self._try_refresh()
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        self._thread.join()

    def refresh(self) -> None:
        """Take over what changed. Raises StateUnavailable."""
        changes = self._load(self._version)
        if changes.complete:
            self._known, self._thresholds = set(), {}
        for mac, threshold, forgotten in changes.sensors:
            self._thresholds.pop(mac, None)
            if forgotten:
                self._known.discard(mac)
                continue
            self._known.add(mac)
            if threshold is not None:
                self._thresholds[mac] = _seconds(threshold)
        self._new -= self._known
        noted = changes.metric_names
        self._new_metrics = {
            name: mac for name, mac in self._new_metrics.copy().items() if name not in noted
        }
        self._metrics = {**noted, **self._new_metrics}
        self._brought = Counter(self._metrics.values())
        self._digests = changes.token_digests | self._settings_digests
        self._admitted = set()
        self.token_required = changes.token_required or bool(self._settings_digests)
        self._version = changes.version

    def _run(self) -> None:
        while not self._closing.wait(_REFRESH):
            self._try_refresh()

    def _try_refresh(self) -> None:
        try:
            self.refresh()
        except StateUnavailable as error:
            log.warning("the state database can't be read; using the last copy: %s", error)

    def admits_bearer(self, authorization: str) -> bool:
        """Whether this Authorization header lets a sensor in. False while nobody knows."""
        if self.token_required is False or authorization in self._admitted:
            return True
        admitted = self._admitted
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or _digest(secret.strip()) not in self._digests:
            return False
        # Until the next refresh, which may revoke it, the same header needs no digest.
        if admitted is self._admitted:
            admitted.add(authorization)
        return True

    def threshold(self, mac: int) -> str:
        """The threshold in force, in seconds, as a JSON number."""
        return self._thresholds.get(mac, self._default)

    def admit(self, mac: int) -> bool:
        """Whether this sensor may report: a known one, or a new one below the ceiling."""
        if mac in self._known or mac in self._new:
            return True
        if len(self._known) + len(self._new) >= self._max_sensors:
            return False
        self._new.add(mac)
        return True

    def surplus_metrics(self, mac: int, names: Iterable[str]) -> list[str]:
        """Those of the names that are new to the fleet and for which there is no room.

        So that no sender can use up all names, one sensor brings in as many as a heartbeat may
        carry, and sensors that are not registered yet together at most half of all.
        """
        known = self._metrics
        return [n for n in names if n not in known and not self._admit_metric(mac, n)]

    def _admit_metric(self, mac: int, name: str) -> bool:
        room = MOST_METRIC_NAMES if mac in self._known else MOST_METRIC_NAMES // 2
        if len(self._metrics) >= room or self._brought[mac] >= MOST_METRICS:
            return False
        self._metrics[name] = self._new_metrics[name] = mac
        self._brought[mac] += 1
        return True


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _seconds(duration: int) -> str:
    return f"{duration / SECOND:g}" if duration % SECOND else str(duration // SECOND)
