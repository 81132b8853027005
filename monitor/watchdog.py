"""A dead man's switch of our own: a URL asked for while all goes well, so that another monitor can
watch this one."""

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
"""A horizon older than this shows that sensors aren't judged."""
OVERDUE = 2 * MINUTE
"""A message due for longer shows that nobody delivers."""

logger = logging.getLogger(__name__)


class Watchdog:
    """Called after each sweep."""

    def __init__(self, engine: Engine, url: str, allow_internal: bool) -> None:
        self._engine, self._url, self._allow_internal = engine, url, allow_internal
        self._asked_at = 0
        self._asking: threading.Thread | None = None

    def swept(self, horizon: int, now: int) -> None:
        """Ask, once a minute, if sensors are judged and messages sent. Raises StateUnavailable."""
        if 0 <= now - self._asked_at < EVERY or (self._asking and self._asking.is_alive()):
            return
        if now - horizon > FRESH:
            return
        with reading(self._engine) as connection:
            oldest = claims.oldest_due(connection, now)
        if oldest is not None and now - oldest > OVERDUE:
            return
        self._asked_at = now
        self._asking = threading.Thread(target=self._ask, name="watchdog", daemon=True)
        self._asking.start()

    def _ask(self) -> None:
        try:
            http.get(self._url, {}, self._allow_internal)
        except SendFailed as failure:
            logger.warning("can't call the watchdog URL: %s", failure.detail)
