"""SQL statements are built in the rooms below the pages and the commands."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MONITOR = Path(__file__).parents[2] / "monitor"
ALLOWED = {"Connection", "Engine"}


def imported(source: str) -> Iterator[str]:
    """The names that a module imports from SQLAlchemy; `*` where it imports a whole module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ("*" for each in node.names if each.name.split(".")[0] == "sqlalchemy")


@pytest.mark.parametrize("room", ["web", "commands"])
def test_pages_and_commands_build_no_statements(room: str) -> None:
    found = {
        str(path.relative_to(MONITOR)): names
        for path in (MONITOR / room).rglob("*.py")
        if (names := set(imported(path.read_text())) - ALLOWED)
    }
    assert found == {}


def test_imports_of_statement_builders_are_found() -> None:
    assert set(imported("from sqlalchemy import Engine, select")) - ALLOWED == {"select"}
    assert set(imported("from sqlalchemy.sql import func")) == {"func"}
    assert set(imported("import sqlalchemy as sa")) == {"*"}
