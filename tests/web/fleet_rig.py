"""A real store, a real state and the pages over them, with a clock that can be put forward."""

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


class Ahead(Clock):
    """The real clock, put forward; it stands still after `stop`."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0
        self._stopped: int | None = None

    def stop(self) -> None:
        self._stopped = super().now()

    def now(self) -> int:
        return (super().now() if self._stopped is None else self._stopped) + self.ahead


class Rig:
    """What the shipper and the sweep would write, written by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, Ahead()
        self.writer = SqliteStore(directory / "heartbeats.sqlite", 90 * DAY, writable=True)
        self.writer.migrate()
        self.engine = new_state(directory / "state.sqlite")
        self.readers: list[SqliteStore] = []
        self.reasons: list[str] = []

    def fleet(self) -> Fleet:
        """The fleet as one more worker process would read it."""
        return Fleet(self._reader(), self.engine, self.clock, THRESHOLD, 90 * DAY)

    def history(self) -> History:
        """The past as one more worker process would read it."""
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
        """`options`: of `build_context`. Unless given otherwise, anyone on this machine may look
        until users are added."""
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
        """These sensors were heard `ago` ms before now, and it was stored and announced."""
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
        """The sweep learned of these sensors."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.register(connection, [(mac, self.clock.now(), True) for mac in macs], version)

    def configure(self, mac: int, **values: Any) -> None:
        """A person set name, site, threshold or paused."""
        with writing(self.engine) as connection:
            sensors.configure(connection, mac, sensors.next_version(connection), **values)

    def forget(self, mac: int) -> None:
        """A person removed the sensor."""
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.configure(connection, mac, version)
            connection.execute(
                update(sensor).where(sensor.c.mac == mac).values(forgotten_at=self.clock.now())
            )

    def open_incidents(self, macs: Iterable[int], silent_for: int = 11 * MINUTE) -> int:
        """The sweep found them silent; returns when."""
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
        """The sweep heard the sensor again."""
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
        """The sweep judged up to `ago` ms before now."""
        with writing(self.engine) as connection:
            connection.execute(update(service).values(horizon=self.clock.now() - ago))


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Server:
    """The application behind a real port; can be stopped and started on the same one."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._running: tuple[BaseWSGIServer, threading.Thread] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = make_server(
            "127.0.0.1", self.port, self._app, threaded=True, request_handler=_Quiet
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
