from pathlib import Path

import pytest
from sqlalchemy import select

from monitor import cli, settings
from monitor.bootstrap.channels import own_channels
from monitor.state.access_tables import token
from monitor.state.database import open_state, reading
from monitor.state.tables import sensor


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path))
    for name in ("URL", "ORG", "TOKEN"):
        monkeypatch.delenv(f"INFLUXDB_V2_{name}", raising=False)
    return tmp_path


def test_token_is_shown_once_listed_and_revoked(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["migrate"]) == 0
    capsys.readouterr()
    assert cli.main(["token", "create", "cellar"]) == 0
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("hbm_")
    assert cli.main(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert "cellar" in listed
    assert secret not in listed
    with reading(open_state(f"sqlite:///{data / 'state.sqlite'}")) as connection:
        assert secret.encode() not in connection.execute(select(token.c.digest)).scalar_one()
    assert cli.main(["token", "revoke", "cellar"]) == 0
    assert cli.main(["token", "revoke", "cellar"]) == 1
    assert cli.main(["token", "create", "cellar"]) == 1
    assert "choose another name" in capsys.readouterr().err


def test_sensor_is_configured_by_any_notation_of_its_address(data: Path) -> None:
    assert cli.main(["migrate"]) == 0
    command = ["sensor", "set", "02-00-00-00-00-0A", "--site", "North", "--threshold", "90"]
    assert cli.main(command) == 0
    assert cli.main(["sensor", "set", "0200.0000.000a", "--paused", "yes"]) == 0
    with reading(open_state(f"sqlite:///{data / 'state.sqlite'}")) as connection:
        row = connection.execute(select(sensor)).one()
    assert (row.mac, row.site, row.threshold) == (0x02000000000A, "North", 90_000)
    assert row.paused
    assert cli.main(["sensor", "set", "02:00:00:00:00:0a"]) == 1


def test_single_labels_can_be_added_changed_and_removed(data: Path) -> None:
    assert cli.main(["migrate"]) == 0
    mac = "02:00:00:00:00:0a"
    assert (
        cli.main(["sensor", "set", mac, "--label", "floor=3", "--label", "severity=warning"]) == 0
    )
    assert cli.main(["sensor", "set", mac, "--label", "floor=", "--label", "room=a=b"]) == 0
    with reading(open_state(f"sqlite:///{data / 'state.sqlite'}")) as connection:
        labels = connection.execute(select(sensor.c.labels)).scalar_one()
    assert labels == {"severity": "warning", "room": "a=b"}
    for bad in ("floor", "=3", "site=North", "a b=c"):
        with pytest.raises(SystemExit):
            cli.main(["sensor", "set", mac, "--label", bad])


def test_every_settings_error_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITOR_SERVER_PORT", "x")
    monkeypatch.setenv("MONITOR_SERVER_WORKER", "2")
    assert cli.main(["check-config"]) == 1
    error = capsys.readouterr().err
    assert "MONITOR_SERVER_PORT" in error
    assert "MONITOR_SERVER_WORKER" in error


def test_listening_beyond_loopback_without_a_token_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITOR_SERVER_HOST", "0.0.0.0")
    monkeypatch.setenv("MONITOR_SERVER_SECRET_KEY", "k" * 32)
    assert cli.main(["migrate"]) == 0
    assert cli.main(["web"]) == 1
    assert "monitor token create" in capsys.readouterr().err


def test_test_message_to_a_disabled_channel_is_an_error_with_a_hint(
    data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["migrate"]) == 0
    assert cli.main(["send", "email"]) == 1
    assert "monitor channel list" in capsys.readouterr().err


def test_migrating_twice_changes_nothing() -> None:
    assert cli.main(["migrate"]) == cli.main(["migrate"]) == 0


def test_settings_error_found_by_a_component_is_a_one_line_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITOR_STATE_URL", "nonsense")
    monkeypatch.setenv("MONITOR_EMAIL_SERVER", "localhost")
    monkeypatch.setenv("MONITOR_EMAIL_SENDER", "not an address")
    monkeypatch.setenv("MONITOR_EMAIL_RECIPIENTS", "night@example.org")
    assert cli.main(["check-config"]) == 1
    error = capsys.readouterr().err
    assert "state.url:" in error
    assert "email.sender:" in error


def test_only_configured_channels_are_created() -> None:
    given = settings.load(None, {"MONITOR_WEBHOOK_URL": "https://example.org/hook"})
    assert [channel.name for channel in own_channels(given)] == ["webhook"]


@pytest.mark.parametrize("value", ["-5", "inf", "nan", "1e18", "0.0001"])
def test_invalid_threshold_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["sensor", "set", "02:00:00:00:00:0a", f"--threshold={value}"])
    assert "threshold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MONITOR_STALENESS_THRESHOLD", "inf"),
        ("MONITOR_STALENESS_THRESHOLD", "0.0001"),
        ("MONITOR_WEBHOOK_URL", "http://[::1"),
        ("MONITOR_SERVER_BASE_URL", "https://"),
        ("MONITOR_DATA_DIRECTORY", "/proc/nowhere"),
    ],
)
def test_settings_that_fail_later_fail_check_config(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert cli.main(["check-config"]) == 1
    assert "can't be used" in capsys.readouterr().err


def test_arguments_that_are_not_utf_8_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    comment = b"K\xfcche".decode("utf-8", "surrogateescape")  # as Python decodes them
    assert cli.main(["migrate"]) == 0
    with pytest.raises(SystemExit) as ended:
        cli.main(["silence", "add", "--match", "site=x", "--for", "4h", "--comment", comment])
    assert ended.value.code == 2
    assert "must be UTF-8" in capsys.readouterr().err
