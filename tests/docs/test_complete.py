"""The docs name every command, metric, setting and API route, and the README stays short."""

import argparse
import re
from pathlib import Path

import pytest

from monitor import cli
from monitor.ingest.fields import DETAILS
from tests.web.complete_app import CompleteApp

ROOT = Path(__file__).parents[2]
ADMINISTRATORS = (ROOT / "docs" / "administrators.md").read_text()


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_link_has_a_target() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_is_documented(command: str) -> None:
    assert f"`monitor {command}" in ADMINISTRATORS or f"`{command}`" in ADMINISTRATORS


@pytest.mark.parametrize("command", ["token", "user", "channel", "route", "silence", "maintenance"])
def test_every_action_is_documented(command: str) -> None:
    parser = cli.build_parser(command)
    rows = [text for text in ADMINISTRATORS.splitlines() if text.startswith("| `monitor ")]
    (line,) = (row for row in rows if f"`monitor {command}" in row.split("|")[1])
    for action in _choices(_choices(parser)[command]):
        assert action in line


def test_every_metric_is_documented() -> None:
    source = (ROOT / "monitor" / "web" / "metrics.py").read_text()
    found = re.findall(r"_(gauge|counter|histogram)\(\s*\"(\w+)\"", source)
    assert len(found) > 20
    for kind, name in found:
        assert f"`{name}{'_total' if kind == 'counter' else ''}`" in ADMINISTRATORS


@pytest.mark.parametrize("reason", DETAILS)
def test_every_reason_for_an_ignored_field_is_documented(reason: str) -> None:
    assert f"| `{reason}` |" in (ROOT / "docs" / "sensors.md").read_text()


def test_every_api_route_is_documented(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    rules = [
        rule
        for rule in CompleteApp(tmp_path, "http://monitor.example").rules()
        if "/api/" in rule.rule
    ]
    assert rules
    for rule in rules:
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: found[1].upper(), rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert f"`{method} {path}`" in text


def _choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)
