"""A service with data for every rule, which is restored repeatedly during the run."""

import re
import threading
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import delete, select, update
from werkzeug.routing import Rule

from monitor.clock import Clock
from monitor.model import DAY, HOUR, MINUTE
from monitor.outbox import acknowledge_link
from monitor.services import passwords
from monitor.state import channels, public_pages, routes, sensors, silences, tokens, users
from monitor.state.access_tables import login, login_failure, public_page, token, user
from monitor.state.channels import Stored
from monitor.state.database import writing
from monitor.state.routing import RouteRow
from monitor.state.tables import (
    alert_group,
    channel,
    incident,
    maintenance,
    notification,
    route,
    sensor,
    silence,
)
from monitor.web import context
from monitor.web.auth.password_links import password_link
from tests.cases import Cases
from tests.push import Browser
from tests.receiver import Receiver
from tests.service import Service
from tests.web.complete_app import INGEST_TOKEN, KEY, MAC, ROLES, CompleteApp
from tests.web.visitors import PASSWORD

LEAVER, CHOOSER, VICTIM = "leaver", "chooser", "victim"
"""Users for requests that log out, set a password by a link, or change a user."""

_MOST = 20
"""The maximum number of rows per kind, which limits the size of pages."""
KEPT, REMOVABLE = "x", "removable"
"""The channel, route and token that always exist, and a channel without a route."""
_HASHED = passwords.hashed(PASSWORD)
_TOKEN_FIELD = re.compile(r'name="csrf_token" value="([^"]+)"')


class Session:
    """A browser session: its cookie and CSRF token."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self.cookie = self.csrf = ""

    def renew(self) -> bool:
        """Log in unless still logged in; whether that worked."""
        headers = {"Accept": "text/html", "Cookie": self.cookie}
        page = "/account" if self._name else "/login"
        answer = requests.get(self._url + page, headers=headers, timeout=30, allow_redirects=False)
        if answer.status_code == 200 and self.cookie:
            return True
        with requests.Session() as browser:
            browser.trust_env = False
            browser.headers["Accept"] = "text/html"
            self._read(browser.get(f"{self._url}/login", timeout=30).text)
            if self._name:
                form = {"csrf_token": self.csrf, "name": self._name, "password": PASSWORD}
                answer = browser.post(f"{self._url}/login", form, timeout=30, allow_redirects=False)
                if answer.status_code != 303:
                    return False
                self._read(browser.get(f"{self._url}/account", timeout=30).text)
            self.cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        return True

    def _read(self, page: str) -> None:
        found = _TOKEN_FIELD.search(page)
        assert found, page
        self.csrf = found[1]


class Target:
    """The service under test and its data."""

    def __init__(self, directory: Path, hook: Receiver, **others: object) -> None:
        self.service = Service(
            directory,
            MONITOR_SERVER_SECRET_KEY=KEY,
            MONITOR_INGEST_TOKEN=INGEST_TOKEN,
            MONITOR_SERVER_HOST="127.0.0.1",
            MONITOR_INGEST_MAX_SENSORS=500,
            MONITOR_ALERTS_ALLOW_INTERNAL="true",
            **others,
        )
        given = {name: str(value) for name, value in self.service.environment.items()}
        kept = {
            name: value for name, value in given.items() if name.startswith(("MONITOR_", "INFLUX"))
        }
        (directory / "data").mkdir(mode=0o700)
        whole = CompleteApp(directory / "data", self.service.url, **kept)
        whole.store.close()
        with writing(whole.engine) as connection:  # no message about the test data is sent
            connection.execute(update(notification).values(state="sent", finished_at=0))
        self._whole, self._engine, self._hook = whole, whole.engine, hook
        self._vault = context.of(whole.app).vault
        self._lock = threading.Lock()
        self.rules: list[Rule] = list(whole.rules())
        self.static = whole.app.jinja_env.globals["asset"]("page.css")  # type: ignore[operator]
        self.sessions = {name: Session(self.service.url, name) for name in ("", *ROLES, LEAVER)}
        self.bearers: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.browser: dict[str, Any] = Browser("https://127.0.0.1:9/push/browser").as_json()

    def renew(self, sessions: bool = True) -> None:
        """Restore what requests removed, and remove excess rows."""
        with self._lock:
            self._people()
            self._administered()
            self._cases()
            if sessions:
                for name, session in self.sessions.items():
                    for _ in range(5):
                        if session.renew():
                            break
                        self._people()  # another request has changed the password
                    else:
                        raise AssertionError(f"{name} can't log in")

    def _people(self) -> None:
        with writing(self._engine) as connection:
            connection.execute(delete(login_failure))
            for name in (*ROLES, LEAVER, CHOOSER, VICTIM):
                role = name if name in ROLES else "viewer"
                person = users.find(connection, name)
                if person is None:
                    number = users.add(connection, name, role, 0, password=_HASHED)
                elif person.role != role or not person.active or person.password != _HASHED:
                    number = person.id
                    if person.role != role or not person.active:
                        users.change(connection, number, role=role, active=True)
                    users.set_password(connection, number, _HASHED)
                else:
                    number = person.id
                self.numbers[name] = number
            kept = [self.numbers[name] for name in (*ROLES, LEAVER, CHOOSER, VICTIM)]
            extra = list(
                connection.scalars(
                    select(user.c.id).where(user.c.id.not_in(kept)).order_by(user.c.id.desc())
                )
            )[_MOST:]
            connection.execute(delete(login).where(login.c.user_id.in_(extra)))
            connection.execute(delete(user).where(user.c.id.in_(extra)))
            for role in tokens.ROLES:
                secret = self.bearers.get(role)
                if secret is None or tokens.find(connection, secret) is None:
                    connection.execute(delete(token).where(token.c.name == f"api-{role}"))
                    self.bearers[role] = tokens.create(connection, f"api-{role}", 0, role)
            connection.execute(delete(token).where(token.c.name == KEPT))
            tokens.create(connection, KEPT, 0)
            chooser = users.get(connection, self.numbers[CHOOSER])
        assert chooser is not None
        known = context.of(self._whole.app)
        self.texts["password"] = password_link(known, chooser).rpartition("/")[2]

    def _administered(self) -> None:
        now = Clock().now()
        with writing(self._engine) as connection:
            self._tidy(connection)
            settings = {"url": self._hook.url}
            for name in (KEPT, REMOVABLE):
                wanted = Stored(name, "webhook", settings, {})
                if channels.find(connection, self._vault, name) is None:
                    channels.add(connection, self._vault, wanted)
                else:
                    channels.save(connection, self._vault, wanted)
            row = RouteRow(KEPT, ["site=Cellar"], [KEPT], [], None)
            if not routes.replace(connection, row):
                routes.add(connection, row)
            if KEPT + "2" not in routes.names(connection):
                routes.add(connection, RouteRow(KEPT + "2", ["site=Roof"], [KEPT], [], None))
            matchers = ["site=Cellar"]
            self.numbers["silence"] = connection.scalar(
                select(silence.c.id).where(silence.c.ends_at > now + MINUTE).limit(1)
            ) or silences.add_silence(connection, matchers, now, now + HOUR, "x", "x", now)
            daily = ("UTC", "2026-01-01T00:00", "2026-01-01T23:59", "FREQ=DAILY")
            self.numbers["maintenance"] = connection.scalar(
                select(maintenance.c.id)
                .where(maintenance.c.ended_at.is_(None), maintenance.c.recurrence == daily[3])
                .limit(1)
            ) or silences.add_maintenance(connection, "x", matchers, *daily, "x", now)
            pages = public_pages.listed(connection)
            if not pages:
                public_pages.add(connection, "x", None, True, now)
                pages = public_pages.listed(connection)
            self.numbers["public"], self.texts["public"] = pages[0].id, pages[0].key

    def _tidy(self, connection: Any) -> None:
        for table in (silence, maintenance, public_page, route, channel, token):
            newest = select(table.c.id).order_by(table.c.id.desc()).limit(_MOST)
            old = delete(table).where(table.c.id.not_in(list(connection.scalars(newest))))
            if "name" in table.c:
                old = old.where(
                    table.c.name.not_like("api-%"), table.c.name.not_in((KEPT, REMOVABLE))
                )
            connection.execute(old)

    def _cases(self) -> None:
        now = Clock().now()
        with writing(self._engine) as connection:
            version = sensors.next_version(connection)
            gone = connection.scalar(
                select(sensor.c.mac).where(sensor.c.mac == MAC, sensor.c.forgotten_at.is_(None))
            )
            if gone is None:
                sensors.register(connection, [(MAC, now - DAY, True)], version)
            sensors.configure(connection, MAC, version, paused=False)
            number = connection.scalar(
                select(incident.c.id).where(incident.c.mac == MAC, incident.c.closed_at.is_(None))
            )
            group = connection.scalar(
                select(alert_group.c.id).where(alert_group.c.closed_at.is_(None)).limit(1)
            )
        cases = Cases(self._engine, now)
        if number is None:
            group = group or cases.group("site:Fuzz")
            number = cases.incident(MAC, group)
        if self.numbers.get("incident") != number:
            self.numbers["incident"] = number
            group = group or cases.group("site:Fuzz")
            message = cases.message(group, [number], channel=KEPT, state="sent", finished_at=now)
            link = acknowledge_link.links(self._vault, self.service.url)(message, KEPT, now)
            self.texts["acknowledge"] = link.rpartition("/")[2]
        with writing(self._engine) as connection:
            connection.execute(
                update(incident)
                .where(incident.c.id == number)
                .values(acknowledged_at=None, acknowledged_by=None)
            )
        self.texts["badge"] = self._vault.sign("badge", {"sensor": "02:00:00:00:00:0a"})
