"""Users who change data by pages, the API and commands while the service runs."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Engine
from werkzeug.test import TestResponse

from monitor.bootstrap.pages import build_pages
from monitor.bootstrap.stores import open_store
from monitor.clock import Clock
from monitor.ingest.counts import new_counts
from monitor.model import format_mac
from monitor.settings import load
from monitor.state import incidents
from monitor.state.database import reading
from tests.web.contexts import BASE
from tests.web.visitors import add_user, logged_in

ROOT = Path(__file__).parent.parent.parent


def settings_of(directory: Path, state: Engine) -> Mapping[str, str]:
    """The variables of a service on this state, with an email and a webhook channel."""
    return {
        "MONITOR_DATA_DIRECTORY": str(directory / "data"),
        "MONITOR_STATE_URL": state.url.render_as_string(hide_password=False),
        "MONITOR_SERVER_SECRET_KEY": "a secret key of some length, all for tests",
        "MONITOR_SERVER_BASE_URL": BASE,
        "MONITOR_WEBHOOK_URL": "https://hooks.example.org/",
        "MONITOR_EMAIL_SERVER": "mail.example.org",
        "MONITOR_EMAIL_SENDER": "monitor@example.org",
        "MONITOR_EMAIL_RECIPIENTS": "night@example.org",
    }


class Operator:
    """An administrator who uses the complete app, with its own engine."""

    def __init__(self, name: str, directory: Path, state: Engine) -> None:
        settings = load(None, settings_of(directory, state))
        store = open_store(settings, writable=True)
        store.migrate()
        store.close()
        add_user(state, name, "administrator")
        self._state = state
        app = build_pages(settings, state, Clock(), new_counts())
        self._visitor = logged_in(app, name)
        self._token = self._visitor.token("/account")

    def act(self, chance: random.Random, macs: tuple[int, ...]) -> TestResponse:
        """Make one random change."""
        match chance.randrange(6):
            case 0:
                with reading(self._state) as connection:
                    ids = [row.id for row in incidents.open_incidents(connection).values()]
                some = chance.sample(ids, min(1, len(ids))) or [1]
                return self._api("POST", "/incidents/acknowledge", {"ids": some})
            case 1:
                what = "pause" if chance.random() < 0.3 else "resume"
                return self._form(f"/sensors/{format_mac(chance.choice(macs))}/{what}")
            case 2:
                wanted = {"matchers": ["site=North"], "comment": "x", "duration_seconds": 60}
                return self._api("POST", "/silences", wanted)
            case 3:
                site = chance.choice(("North", "South"))
                route = {"matchers": [f"site={site}"], "channels": ["email", "webhook"]}
                return self._api("POST", "/routes", {"name": site, **route})
            case 4:
                return self._api("DELETE", f"/routes/{chance.choice(('North', 'South'))}")
            case _:
                name = f"token {chance.randrange(20)}"
                return self._form("/admin/tokens", {"name": name, "role": "viewer"})

    def _form(self, path: str, form: Mapping[str, str] | None = None) -> TestResponse:
        data = {"csrf_token": self._token, **(form or {})}
        return self._visitor.client.post(path, data=data, base_url=BASE)

    def _api(self, method: str, path: str, body: object = None) -> TestResponse:
        headers = {"X-CSRF-Token": self._token}
        return self._visitor.client.open(
            f"/api/v1{path}", method=method, json=body, headers=headers, base_url=BASE
        )


def command(variables: Mapping[str, str], chance: random.Random, macs: tuple[int, ...]) -> str:
    """Run one command; its standard error."""
    mac = format_mac(chance.choice(macs))
    line = chance.choice(
        (
            ["sensor", "set", mac, "--label", f"n={chance.randrange(9)}"],
            ["acknowledge", str(chance.randrange(1, 9))],
            ["silence", "add", "--match", "site=North", "--for", "1m", "--comment", "x"],
            ["token", "create", f"token {chance.randrange(20)}"],
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *line],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    return done.stderr
