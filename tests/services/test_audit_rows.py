"""Audit rows are written by the services, in the transaction of the change."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitor.errors import Conflict, Invalid, NotFound
from monitor.services import maintenance, silences, tokens
from monitor.state import audit
from monitor.state.database import reading
from tests.cases import NOW

MONITOR = Path(__file__).parents[2] / "monitor"


def writers(room: str) -> set[str]:
    """The modules of a room that call `audit.record`."""
    found = set()
    for path in (MONITOR / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
                found.add(path.stem)
    return found


def test_only_services_write_audit_rows() -> None:
    rooms = {path.name for path in MONITOR.iterdir() if path.is_dir()} - {"services"}
    assert {room: found for room in rooms if (found := writers(room))} == {}
    assert writers("services")


def rows(state: Engine) -> list[tuple[str, str, str]]:
    with reading(state) as connection:
        return [(row.who, row.what, row.subject) for row in audit.listed(connection, 10)]


def test_each_change_writes_an_audit_row(state: Engine) -> None:
    tokens.create(state, "anna", "roof", "viewer", NOW)
    started = silences.start(state, "anna", ["site=Hall"], NOW, NOW + 1000, "why", NOW)
    silences.end(state, "bo", started.id, NOW + 1)
    assert rows(state) == [
        ("bo", "silence ended", str(started.id)),
        ("anna", "silence started", str(started.id)),
        ("anna", "token created", "roof"),
    ]


def test_refused_change_writes_no_audit_row(state: Engine) -> None:
    tokens.create(state, "anna", "roof", "viewer", NOW)
    before = rows(state)
    with pytest.raises(Conflict):
        tokens.create(state, "anna", "roof", "viewer", NOW)
    with pytest.raises(Invalid, match="must be one of"):
        tokens.create(state, "anna", "cellar", "king", NOW)
    with pytest.raises(NotFound):
        tokens.revoke(state, "anna", "cellar", NOW)
    with pytest.raises(Invalid):
        silences.start(state, "anna", ["site=Hall"], NOW, NOW + 1000, " ", NOW)
    with pytest.raises(NotFound):
        silences.end(state, "anna", 1, NOW)
    with pytest.raises(Invalid):
        maintenance.schedule(
            state, "anna", "paint", [], "UTC", "2030-01-01T01:00", "2030-01-01T02:00", None, NOW
        )
    assert rows(state) == before
    assert silences.listed(state, None, NOW) == []
