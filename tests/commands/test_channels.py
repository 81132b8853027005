"""`monitor channel` and `monitor route`."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from monitor import program, settings
from monitor.bootstrap.vaults import open_vault
from monitor.cli import build_parser
from monitor.commands import CommandFailed
from monitor.errors import Invalid, MonitorError
from monitor.state.channels import find
from monitor.state.database import open_state, reading, writing
from monitor.state.migrating import migrate
from monitor.state.tables import channel_health
from tests.receiver import Receiver, receiver

Run = Callable[..., str]


@pytest.fixture
def given(tmp_path: Path) -> settings.Settings:
    variables = {
        "MONITOR_DATA_DIRECTORY": str(tmp_path),
        "MONITOR_ALERTS_ALLOW_INTERNAL": "true",
        "MONITOR_WEBHOOK_URL": "https://hook.example.org/secret",
    }
    return settings.load(None, variables)


@pytest.fixture
def state(given: settings.Settings) -> Iterator[Engine]:
    engine = open_state(given.state_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def run(
    given: settings.Settings,
    state: Engine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a command and returns what it prints; `typed` is its standard input."""

    def ran(*arguments: str, typed: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        options = build_parser(arguments[0]).parse_args(arguments)
        capsys.readouterr()
        try:
            options.run(given, options)
        except Invalid as error:
            raise CommandFailed(f"{error.field}: {error}") from error
        except MonitorError as error:
            raise CommandFailed(str(error)) from error
        return capsys.readouterr().out

    return ran


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as hook:
        yield hook


def test_channel_is_added_shown_changed_tested_and_removed(run: Run, hook: Receiver) -> None:
    added = run(
        "channel", "add", "ops", "webhook", f"url={hook.url}", "--default", "yes", "--budget", "9"
    )
    assert added == f"ops created; `{program.command()} channel test ops` sends a test message\n"
    assert run("channel", "list").splitlines() == [
        "NAME     KIND               USE      LATELY",
        "webhook  from the settings  default  never used",
        "ops      webhook            default  never used",
    ]
    own, ops = map(json.loads, run("channel", "list", "--json").splitlines())
    assert (own["name"], own["from_settings"]) == ("webhook", True)
    assert (ops["name"], ops["kind"], ops["budget"]) == ("ops", "webhook", 9)
    assert run("channel", "test", "ops") == "sent through ops\n"
    assert run("send", "ops") == "sent through ops\n"
    assert len(hook.requests) == 2
    run("channel", "set", "ops", "--default", "no", "--enabled", "no", "--budget", "0")
    shown = run("channel", "show", "ops").splitlines()
    assert f"url: {hook.url}" in shown
    assert {"enabled: no", "default: no", "daily message limit: no limit"} <= set(shown)
    assert run("channel", "remove", "ops") == "ops is removed\n"
    with pytest.raises(CommandFailed, match="no channel 'ops'"):
        run("channel", "show", "ops")


def test_secrets_are_read_from_standard_input_and_never_shown(
    run: Run, given: settings.Settings, state: Engine
) -> None:
    run(
        "channel",
        "add",
        "pager",
        *ALERTMANAGER,
        "--secret",
        "bearer_token",
        typed="123:confidential\n",
    )
    run("channel", "set", "pager", "urls=https://c.example.org")
    with reading(state) as connection:
        stored = find(connection, open_vault(given), "pager")
    assert stored is not None
    assert stored.settings == {"urls": ["https://c.example.org"]}
    assert stored.secrets == {"bearer_token": "123:confidential"}
    shown = run("channel", "show", "pager")
    assert "bearer_token: set" in shown
    assert "confidential" not in shown + run("channel", "list")
    run("channel", "set", "pager", "--secret", "bearer_token", typed="\n")
    assert "bearer_token: not set" in run("channel", "show", "pager")
    with pytest.raises(CommandFailed, match=r"settings\.urls"):
        run("channel", "set", "pager", "urls=")


ALERTMANAGER = ("alertmanager", "urls=https://a.example.org, https://b.example.org")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("browsers", "webhook", "url=https://x.example.org"), "is reserved"),
        (("webhook", "webhook", "url=https://x.example.org"), "is reserved"),
        (("a b", "webhook", "url=https://x.example.org"), "name: must be at most 80 letters"),
        (("a", "pigeon"), "kind: must be one of"),
        (("a", "webpush"), "a browser's channel is created when it subscribes"),
        (("a", "webhook"), "settings.url: "),
        (("a", "webhook", "url=nowhere"), r"settings\.url: must look like"),
        (("a", "webhook", "url=https://x.example.org", "colour=red"), "settings.colour"),
    ],
)
def test_invalid_channel_is_refused(run: Run, arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(CommandFailed, match=problem):
        run("channel", "add", *arguments)


def test_list_shows_failing_channels(run: Run, state: Engine) -> None:
    with writing(state) as connection:
        failing = {"name": "webhook", "failing_since": 0, "error": "answer 500", "error_at": 5}
        connection.execute(insert(channel_health).values(**failing))
    assert run("channel", "list").endswith("failing since 1970-01-01 00:00:00 UTC: answer 500\n")


def test_failed_test_message_prints_the_reason(run: Run, hook: Receiver) -> None:
    hook.status = 500
    run("channel", "add", "ops", "webhook", f"url={hook.url}")
    with pytest.raises(CommandFailed, match="answer 500"):
        run("channel", "test", "ops")


def test_channel_used_by_a_route_cannot_be_removed(run: Run) -> None:
    run("channel", "add", "ops", "webhook", "url=https://x.example.org")
    run("route", "add", "night", "--channel", "ops")
    with pytest.raises(CommandFailed, match="night"):
        run("channel", "remove", "ops")
    run("route", "remove", "night")
    assert run("channel", "remove", "ops") == "ops is removed\n"


def test_routes_are_added_listed_and_removed(run: Run) -> None:
    run("route", "add", "rest", "--channel", "webhook")
    run(
        *("route", "add", "night", "--match", "site=Harbour|Mill", "--match", "severity=critical"),
        *("--channel", "browsers", "--escalate-to", "webhook", "--escalate-after", "15m"),
        *("--position", "1"),
    )
    assert run("route", "list").splitlines() == [
        "POSITION  NAME   SENSORS                               CHANNELS  ESCALATION",
        "1         night  site=Harbour|Mill, severity=critical  browsers  after 15 min: webhook",
        "2         rest   all                                   webhook   -",
    ]
    first, _ = map(json.loads, run("route", "list", "--json").splitlines())
    assert (first["name"], first["escalate_after_seconds"]) == ("night", 900)
    assert run("route", "remove", "night") == "route night removed\n"
    with pytest.raises(CommandFailed, match="no route 'night'"):
        run("route", "remove", "night")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("rest", "--channel", "webhook"), "already a route named 'rest'"),
        (
            ("other", "--channel", "pager"),
            "--channel: must be channels that exist; 'pager' does not",
        ),
        (("other", "--channel", "webhook", "--match", "site"), "--match: 'site'"),
        (("other", "--channel", "webhook", "--escalate-to", "browsers"), "--escalate-after"),
    ],
)
def test_invalid_route_is_refused(run: Run, arguments: tuple[str, ...], problem: str) -> None:
    run("route", "add", "rest", "--channel", "webhook")
    with pytest.raises(CommandFailed, match=problem):
        run("route", "add", *arguments)
