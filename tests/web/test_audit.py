"""Changes by the API and by commands are in the audit trail, without secrets."""

import io
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor import cli
from monitor.state import audit
from monitor.state.audit import AuditEntry
from monitor.state.database import open_state, reading
from monitor.state.migrating import migrate
from monitor.web.auth.administration import words
from tests.cases import Cases
from tests.states import state, state_url
from tests.web.api_client import Api, apis

__all__ = ["state", "state_url"]

SECRET = "confidential"
PAGER = {
    "name": "pager",
    "kind": "alertmanager",
    "settings": {"urls": ["https://am.example.org"]},
    "secrets": {"bearer_token": SECRET},
}
WINDOW = {
    "zone": "UTC",
    "start": "2026-01-01T00:00",
    "stop": "2026-01-01T01:00",
    "recurrence": "FREQ=DAILY",
}


@pytest.fixture
def api(state: Engine) -> Api:
    """The API with the token "administrator"."""
    return apis(state, own_channels={"email": None})["administrator"]


def trail(state: Engine) -> list[AuditEntry]:
    """The audit entries, the oldest first."""
    with reading(state) as connection:
        entries = audit.listed(connection, 100)[::-1]
    assert SECRET not in repr(entries)
    return entries


def test_each_change_by_the_api_is_recorded_once(state: Engine, api: Api) -> None:
    cases = Cases(state)
    number = cases.incident(1, cases.group())
    later = {"matchers": ["mac=*"], "comment": "why", "duration_seconds": 60}
    steps = [
        ("POST", "/channels", PAGER, "channel created"),
        ("PATCH", "/channels/pager", {"enabled": False, "secrets": {}}, "channel changed"),
        ("POST", "/routes", {"name": "night", "channels": ["pager"]}, "route created"),
        ("PUT", "/routes/night", {"channels": ["email"]}, "route changed"),
        ("PUT", "/routes", {"order": ["night"]}, "routes reordered"),
        ("DELETE", "/routes/night", None, "route removed"),
        ("DELETE", "/channels/pager", None, "channel removed"),
        ("POST", "/silences", later, "silence started"),
        ("POST", "/silences/1/end", None, "silence ended"),
        ("POST", "/maintenance", {"name": "m", "matchers": [], **WINDOW}, None),
        (
            "POST",
            "/maintenance",
            {"name": "m", "matchers": ["mac=*"], **WINDOW},
            "maintenance scheduled",
        ),
        ("POST", "/maintenance/1/end", None, "maintenance ended"),
        ("POST", f"/incidents/{number}/acknowledge", None, "incidents acknowledged"),
        ("POST", "/incidents/acknowledge", {"ids": [number]}, None),
        ("POST", "/routes", {"name": "x", "channels": ["nowhere"]}, None),
    ]
    for method, path, body, what in steps:
        before = len(trail(state))
        answer = api.call(method, path, body)
        recorded = [(entry.who, entry.what) for entry in trail(state)[before:]]
        assert recorded == ([] if what is None else [("administrator", what)]), answer.text
    changed = next(entry for entry in trail(state) if entry.what == "channel changed")
    assert changed.detail == {"enabled": {"from": True, "to": False}}
    assert words(changed.detail) == [("enabled", "yes → no")]


def test_replaced_secret_is_named(state: Engine, api: Api) -> None:
    api.call("POST", "/channels", PAGER)
    api.call("PATCH", "/channels/pager", {"secrets": {"bearer_token": SECRET + "2"}})
    assert trail(state)[-1].detail == {"secrets": ["bearer_token"]}


def test_changes_by_commands_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n" * 2))
    state = open_state(f"sqlite:///{tmp_path / 'state.sqlite'}")
    migrate(state)
    match = ("--match", "mac=*")
    pager = ("pager", "alertmanager", "urls=https://am.example.org", "--secret", "bearer_token")
    window = [part for name, value in WINDOW.items() for part in (f"--{name}", value)]
    commands = [
        (("channel", "add", *pager), "channel created"),
        (("channel", "set", "pager", "--default", "yes"), "channel changed"),
        (("route", "add", "night", "--channel", "pager"), "route created"),
        (("route", "remove", "night"), "route removed"),
        (("channel", "remove", "pager"), "channel removed"),
        (("silence", "add", *match, "--for", "4h", "--comment", "why"), "silence started"),
        (("silence", "end", "1"), "silence ended"),
        (("maintenance", "add", "m", *match, *window), "maintenance scheduled"),
        (("maintenance", "end", "1"), "maintenance ended"),
        (("token", "create", "roof"), "token created"),
        (("token", "revoke", "roof"), "token revoked"),
        (("sensor", "set", "02:00:00:00:00:01", "--name", "Boiler"), "sensor changed"),
    ]
    for arguments, _ in commands:
        assert cli.main(list(arguments)) == 0, arguments
    recorded = [(entry.who, entry.what) for entry in trail(state)]
    assert recorded == [("command line", what) for _, what in commands]
