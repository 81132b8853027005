"""Each worker's copy of the state for the ingest app: sensors, thresholds, tokens, metric names."""

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Engine

from monitor.errors import StateUnavailable
from monitor.ingest.fields import MOST_METRIC_NAMES, MOST_METRICS
from monitor.ingest.parse import Report
from monitor.outbox.wording import seconds
from monitor.state import metric_names, sensors, tokens
from monitor.state.database import reading, writing

_REFRESH = 2.0
"""Seconds between two reads of the state."""

log = logging.getLogger(__name__)


class RegistryChanges(NamedTuple):
    """Changes in the state since a version."""

    version: int
    complete: bool
    """Whether `sensors` has all sensors, not only changed ones."""
    sensors: Collection[tuple[int, int | None, bool]]
    """(mac, threshold in ms or None, deleted)"""
    token_required: bool
    token_digests: frozenset[bytes]
    metric_names: Mapping[str, int | None]
    """name -> the sensor that sent it first; None if unknown"""


Load = Callable[[int], RegistryChanges]
"""Reads the changes since a version (0: everything). Raises StateUnavailable."""


def from_state(engine: Engine, retention: int) -> Load:
    """A loader that reads the state database. A metric name that was not sent for `retention` (ms)
    is no longer in use."""

    def load(version: int) -> RegistryChanges:
        with reading(engine) as connection:
            current = sensors.current_version(connection)
            required, digests = tokens.active(connection)
            names = metric_names.in_use(connection, retention)
        # A state restored from a backup may be older than the copy.
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


def metric_name_saver(engine: Engine, retention: int) -> Callable[[Mapping[str, int]], None]:
    """A function that saves metric names, each with a sensor that sent it, in the state database.
    It raises StateUnavailable."""

    def save(senders: Mapping[str, int]) -> None:
        with writing(engine) as connection:
            metric_names.note(connection, senders, retention)

    return save


class Registry:
    """A copy that is at most a few seconds old, except while the state can't be read."""

    def __init__(
        self, load: Load, default_threshold: int, settings_token: str, max_sensors: int
    ) -> None:
        """`default_threshold` in ms; `settings_token`: a token that is always valid, or ""."""
        self._load = load
        self._max_sensors = max_sensors
        self._default = seconds(default_threshold)
        self._settings_digests = frozenset({_digest(settings_token)} if settings_token else ())
        self._version = 0
        self._known: set[int] = set()
        self._new: set[int] = set()
        self._thresholds: dict[int, str] = {}
        self._metrics: dict[str, int | None] = {}
        self._new_metrics: dict[str, int | None] = {}
        self._names_added: Counter[int | None] = Counter()
        self._digests = self._settings_digests
        self._admitted: set[str] = set()
        self.token_required: bool | None = None
        """None until the state was read once."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry", daemon=True)

    def start(self) -> None:
        """Reads the state now, and then every two seconds."""
        self._try_refresh()
        self._thread.start()

    def close(self) -> None:
        """Stops reading."""
        self._closing.set()
        self._thread.join()

    def refresh(self) -> None:
        """Reads the changes. Raises StateUnavailable."""
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
                self._thresholds[mac] = seconds(threshold)
        self._new -= self._known
        saved = changes.metric_names
        self._new_metrics = {
            name: mac for name, mac in self._new_metrics.copy().items() if name not in saved
        }
        self._metrics = {**saved, **self._new_metrics}
        self._names_added = Counter(self._metrics.values())
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
        """Whether this Authorization header is valid. False until the state was read once."""
        if self.token_required is False or authorization in self._admitted:
            return True
        admitted = self._admitted
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or _digest(secret.strip()) not in self._digests:
            return False
        # The header needs no further check until the next refresh, which may revoke the token.
        if admitted is self._admitted:
            admitted.add(authorization)
        return True

    def threshold(self, mac: int) -> str:
        """The sensor's threshold in seconds, as a JSON number."""
        return self._thresholds.get(mac, self._default)

    def knows(self, reports: Sequence[Report]) -> bool:
        """Whether all sensors and metric names are known, so that no limit applies."""
        macs = {report.mac for report in reports}
        if not macs - self._known <= self._new:
            return False
        names: set[str] = set().union(*[each.metrics for each in reports if each.metrics])
        return names <= self._metrics.keys()

    def is_registered(self, mac: int) -> bool:
        """Whether the state has this sensor."""
        return mac in self._known

    def admit(self, mac: int) -> bool:
        """Whether this sensor may report: it is known, or the limit of sensors is not reached."""
        if mac in self._known or mac in self._new:
            return True
        if len(self._known) + len(self._new) >= self._max_sensors:
            return False
        self._new.add(mac)
        return True

    def surplus_metrics(self, mac: int, names: Iterable[str]) -> list[str]:
        """The names that are new to the fleet and exceed a limit.

        One sensor may add as many names as a heartbeat may have, and all unregistered sensors
        together at most half of the fleet's names. So no sender can use up all names.
        """
        known = self._metrics
        return [n for n in names if n not in known and not self._admit_metric(mac, n)]

    def _admit_metric(self, mac: int, name: str) -> bool:
        limit = MOST_METRIC_NAMES if mac in self._known else MOST_METRIC_NAMES // 2
        if len(self._metrics) >= limit or self._names_added[mac] >= MOST_METRICS:
            return False
        self._metrics[name] = self._new_metrics[name] = mac
        self._names_added[mac] += 1
        return True


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
