"""A real store and state and the pages that use them, with a clock that can be advanced."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import update
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from monitor.analysis.history import History
from monitor.clock import Clock
from monitor.model import DAY, MINUTE, Heartbeat, Seen
from monitor.state import incidents, refusals, sensors
from monitor.state.database import writing
from monitor.state.refusals import Refused
from monitor.state.tables import sensor, service
from monitor.store.sqlite import SqliteStore
from monitor.web.app import create_app
from monitor.web.grid.fleet import Fleet
from tests.states import new_state
from tests.web.contexts import build_context

THRESHOLD = 10 * MINUTE


class AdjustableClock(Clock):
    """The real clock plus `ahead` ms; it stands still after `stop`."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0
        self._stopped: int | None = None

    def stop(self) -> None:
        self._stopped = super().now()

    def now(self) -> int:
        return (super().now() if self._stopped is None else self._stopped) + self.ahead


class Rig:
    """A store and a state that a test fills as the shipper and the sweep would."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, AdjustableClock()
        self.writer = SqliteStore(directory / "heartbeats.sqlite", 90 * DAY, writable=True)
        self.writer.migrate()
        self.engine = new_state(directory / "state.sqlite")
        self.readers: list[SqliteStore] = []
        self.reasons: list[str] = []

    def fleet(self) -> Fleet:
        """A Fleet as one more worker process would have it."""
        return Fleet(self._reader(), self.engine, self.clock, THRESHOLD, 90 * DAY)

    def history(self) -> History:
        """A History as one more worker process would have it."""
        return History(self._reader(), self.engine, self.clock, THRESHOLD, 90 * DAY)

    def _reader(self) -> SqliteStore:
        store = SqliteStore(self.directory / "heartbeats.sqlite", 90 * DAY)
        self.readers.append(store)
        return store

    def build_app(
        self,
        open_fleet: Callable[[], Fleet] | None = None,
        trusted_hosts: Sequence[str] = (),
        **options: Any,
    ) -> Flask:
        """`options`: of `build_context`. By default local requests need no login until users are
        added."""
        given = {
            "base_url": "http://127.0.0.1:8000",
            "fleet": open_fleet or self.fleet,
            "history": self.history(),
            "local": True,
            "readiness": lambda: self.reasons,
            **options,
        }
        context = build_context(self.engine, self.clock, **given)
        return create_app(context, trusted_hosts=trusted_hosts)

    def close(self) -> None:
        for store in (self.writer, *self.readers):
            store.close()

    def beat(self, *macs: int, ago: int = 0) -> None:
        """Store and announce a heartbeat of each sensor, received `ago` ms before now."""
        now = self.clock.now()
        heartbeats = [Heartbeat(mac, now - ago, now - ago) for mac in macs]
        self.writer.append(heartbeats)
        seen = [Seen(heartbeat.mac, heartbeat.seen, True) for heartbeat in heartbeats]
        self.writer.announce("a", now, seen)

    def refuse(self, mac: int, reason: str, number: int = 1) -> None:
        """Workers refused heartbeats of this sensor now."""
        now = self.clock.now()
        with writing(self.engine) as connection:
            refusals.record(connection, {mac: Refused(now, reason)}, {reason: number}, now)

    def register(self, *macs: int) -> None:
        """Register these sensors, as the sweep does."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.register(connection, [(mac, self.clock.now(), True) for mac in macs], version)

    def configure(self, mac: int, **values: Any) -> None:
        """Set name, site, threshold, labels or paused, as a user does."""
        with writing(self.engine) as connection:
            sensors.configure(connection, mac, sensors.next_version(connection), **values)

    def forget(self, mac: int) -> None:
        """Remove the sensor, as a user does."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.configure(connection, mac, version)
            connection.execute(
                update(sensor).where(sensor.c.mac == mac).values(forgotten_at=self.clock.now())
            )

    def open_incidents(self, macs: Iterable[int], silent_for: int = 11 * MINUTE) -> int:
        """Open an incident of each sensor, as the sweep does; the time."""
        now = self.clock.now()
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            group = incidents.open_group(connection, f"test {version}", "", now)
            rows = [
                {
                    "mac": mac,
                    "last_seen": now - silent_for,
                    "threshold": THRESHOLD,
                    "proven": True,
                    "opened_at": now,
                    "group_id": group,
                    "version": version,
                }
                for mac in macs
            ]
            incidents.add(connection, rows)
        return now

    def close_incident(self, mac: int) -> None:
        """Close the incident of a recovered sensor, as the sweep does."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            row = incidents.open_incidents(connection)[mac]
            now = self.clock.now()
            values = {
                "closed_at": now,
                "closed_reason": "recovered",
                "recovered_at": now,
                "version": version,
            }
            incidents.change(connection, {row.id: values})

    def judge(self, ago: int = 0) -> None:
        """Set the horizon to `ago` ms before now, as the sweep does."""
        with writing(self.engine) as connection:
            connection.execute(update(service).values(horizon=self.clock.now() - ago))


class _SilentRequestHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Server:
    """Serves the application on a port; can be stopped, and started again on the same port."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._running: tuple[BaseWSGIServer, threading.Thread] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = make_server(
            "127.0.0.1", self.port, self._app, threaded=True, request_handler=_SilentRequestHandler
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        self.port, self._running = server.port, (server, thread)

    def stop(self) -> None:
        if self._running is not None:
            server, thread = self._running
            server.shutdown()
            thread.join()
            server.server_close()
            self._running = None


@contextmanager
def serving(app: Flask) -> Iterator[Server]:
    server = Server(app)
    server.start()
    try:
        yield server
    finally:
        server.stop()
