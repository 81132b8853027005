"""The complete app as a worker builds it, with a small fleet and its history."""

import re
from collections.abc import Iterator
from pathlib import Path

from flask import Flask
from sqlalchemy import Engine
from werkzeug.routing import Rule

from monitor.bootstrap.pages import build_pages
from monitor.bootstrap.stores import open_store
from monitor.bootstrap.vaults import open_vault
from monitor.clock import Clock
from monitor.ingest.counts import new_counts
from monitor.model import DAY, HOUR, MINUTE, Heartbeat, Seen
from monitor.settings import load
from monitor.state import audit, channels, horizon, routes, sensors, silences, tokens
from monitor.state.channels import Stored
from monitor.state.database import open_state, writing
from monitor.state.migrating import migrate
from monitor.state.routing import RouteRow
from monitor.state.tables import service
from monitor.vault import Vault
from tests.cases import Cases
from tests.web.visitors import add_user

NASTY = "<script>alert(1)</script>"
MAC = 0x02_00_00_00_00_0A
ROLES = ("viewer", "operator", "administrator")
INGEST_TOKEN = "t" * 20
KEY = "a secret key of some length, all for tests"

_PARAMETER = re.compile(r"<(?:any\((\w+)[^)]*\):|\w+:)?(\w+)>")
_VALUES = {"mac": "02:00:00:00:00:0a", "number": "1", "down": "1"}


class CompleteApp:
    """The app and its data. Each role has a user with its name."""

    def __init__(self, directory: Path, url: str, **others: str) -> None:
        """`others`: further settings, as variables."""
        variables = {
            "MONITOR_DATA_DIRECTORY": str(directory),
            "MONITOR_SERVER_HOST": "0.0.0.0",  # so that local requests need a login
            "MONITOR_SERVER_BASE_URL": url,
            "MONITOR_SERVER_SECRET_KEY": KEY,
            "MONITOR_INGEST_TOKEN": INGEST_TOKEN,
            **others,
        }
        self.url = url
        settings = load(None, variables)
        self.store = open_store(settings, writable=True)
        self.store.migrate()
        self.engine: Engine = open_state(settings.state_url)
        migrate(self.engine)
        self._fill(Clock().now(), open_vault(settings))
        self.app: Flask = build_pages(settings, self.engine, Clock(), new_counts())

    def rules(self) -> Iterator[Rule]:
        """All rules, except that of static files."""
        return (rule for rule in self.app.url_map.iter_rules() if rule.endpoint != "static")

    def _fill(self, now: int, vault: Vault) -> None:
        """Write rows; all names that users give are HTML, to test escaping."""
        for role in ROLES:
            add_user(self.engine, role, role)
        add_user(self.engine, NASTY, "viewer", email="nasty@example.org")
        beats = [
            Heartbeat(mac, at, at, True, {"battery": 3.5})
            for mac in (MAC, MAC + 1)
            for at in range(now - DAY, now - (11 * MINUTE if mac == MAC else 0), 5 * MINUTE)
        ]
        self.store.append(beats)
        last = {beat.mac: beat.seen for beat in beats}
        self.store.announce("a", now, [Seen(mac, seen, True) for mac, seen in last.items()])
        cases = Cases(self.engine, now)
        with writing(self.engine) as connection:
            version = sensors.next_version(connection)
            sensors.register(connection, [(mac, now, True) for mac in last], version)
            given = {"name": NASTY, "site": NASTY, "labels": {"note": NASTY}}
            sensors.configure(connection, MAC, version, **given)
            connection.execute(service.update().values(horizon=now))
            horizon.record_blind_windows(connection, [(now - 5 * HOUR, now - 4 * HOUR)])
            tokens.create(connection, NASTY, now)
            matchers = [f"site={NASTY}"]
            channels.add(connection, vault, Stored("x", "webhook", {"url": NASTY}, {}))
            routes.add(connection, RouteRow("x", matchers, ["x"], [], None))
            silences.add_silence(connection, matchers, now, now + HOUR, NASTY, NASTY, now)
            daily = ("UTC", "2026-01-01T00:00", "2026-01-01T23:59", "FREQ=DAILY")
            silences.add_maintenance(connection, NASTY, [f"name={NASTY}"], *daily, NASTY, now)
            audit.record(connection, NASTY, "sensor changed", NASTY, {NASTY: NASTY})
        group = cases.group()
        number = cases.incident(MAC, group, last_seen=last[MAC])
        cases.message(group, [number], [(now, "failed", NASTY)], channel="x")
        ended = {"closed_at": now - HOUR, "recovered_at": now - HOUR, "closed_reason": "recovered"}
        began = {"last_seen": now - 3 * HOUR, "opened_at": now - 2 * HOUR}
        cases.incident(MAC, cases.group("alone"), **began, **ended)

    def close(self) -> None:
        self.store.close()


def path_of(rule: Rule) -> str:
    """A path that matches the rule."""
    return _PARAMETER.sub(lambda found: found[1] or _VALUES.get(found[2], "x"), rule.rule)
