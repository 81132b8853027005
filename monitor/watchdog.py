"""A dead man's switch: calls a URL regularly while the service works, so that another monitor can
detect when it does not."""

import logging
import threading

from sqlalchemy import Engine

from monitor.channels import http
from monitor.channels.interface import SendFailed
from monitor.model import MINUTE, SECOND
from monitor.outbox import claims
from monitor.state.database import reading

EVERY = MINUTE
FRESH = 15 * SECOND
"""If the horizon is older than this (ms), sensors are not judged."""
OVERDUE = 2 * MINUTE
"""If a message is due for longer than this (ms), messages are not sent."""

logger = logging.getLogger(__name__)


class Watchdog:
    """Calls the URL. The scheduler calls `swept` after each sweep."""

    def __init__(self, engine: Engine, url: str, allow_internal: bool) -> None:
        self._engine, self._url, self._allow_internal = engine, url, allow_internal
        self._called_at = 0
        self._calling: threading.Thread | None = None

    def swept(self, horizon: int, now: int) -> None:
        """Calls the URL, once a minute, if sensors are judged and messages are sent. Raises
        StateUnavailable."""
        if 0 <= now - self._called_at < EVERY or (self._calling and self._calling.is_alive()):
            return
        if now - horizon > FRESH:
            return
        with reading(self._engine) as connection:
            oldest = claims.oldest_due(connection, now)
        if oldest is not None and now - oldest > OVERDUE:
            return
        self._called_at = now
        self._calling = threading.Thread(target=self._call, name="watchdog", daemon=True)
        self._calling.start()

    def _call(self) -> None:
        try:
            http.get(self._url, {}, self._allow_internal)
        except SendFailed as failure:
            logger.warning("can't call the watchdog URL: %s", failure.detail)
