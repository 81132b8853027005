import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from monitor import settings
from monitor.settings import Settings, SettingsError, load

EXAMPLE = Path(__file__).parent.parent / "config" / "monitor.example.toml"


def test_example_shows_every_setting_with_its_default() -> None:
    shown = tomllib.loads(EXAMPLE.read_text())
    defaults = asdict(Settings())
    del defaults["influxdb"]
    for section in defaults.values():
        section.update({name: list(v) for name, v in section.items() if isinstance(v, tuple)})
    assert shown == defaults
    assert load(EXAMPLE, {}) == load(None, {})


def test_base_url_defaults_to_host_and_port() -> None:
    assert load(None, {"MONITOR_SERVER_PORT": "9000"}).server.base_url == "http://127.0.0.1:9000"
    given = {"MONITOR_SERVER_BASE_URL": "https://monitor.example.org"}
    assert load(None, given).server.base_url == "https://monitor.example.org"


def test_variables_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "monitor.toml"
    file.write_text("[server]\nport = 8001\nworkers = 3\n")
    given = load(file, {"MONITOR_SERVER_PORT": "9000", "MONITOR_EMAIL_RECIPIENTS": "a@b, c@d"})
    assert (given.server.port, given.server.workers) == (9000, 3)
    assert given.email.recipients == ("a@b", "c@d")


def test_settings_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"nowhere\.toml: can't read the settings file: No such"
    ):
        load(tmp_path / "nowhere.toml", {})


def test_secrets_are_not_shown_when_settings_are_printed() -> None:
    environment = {
        "MONITOR_SERVER_SECRET_KEY": "s3cret" * 6,
        "MONITOR_INGEST_TOKEN": "s3cret" * 6,
        "MONITOR_EMAIL_PASSWORD": "s3cret",
        "MONITOR_STATE_URL": "postgresql://u:s3cret@h/d",
        "INFLUXDB_V2_URL": "http://x",
        "INFLUXDB_V2_ORG": "o",
        "INFLUXDB_V2_TOKEN": "s3cret",
    }
    assert "s3cret" not in repr(load(None, environment))


def test_every_variable_names_its_section() -> None:
    assert "MONITOR_ALERTS_GROUP_WAIT" in settings.variables()


@pytest.mark.parametrize("name", ["INCIDENTS", "AUDIT"])
def test_retention_shorter_than_the_pages_show_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="90"):
        load(None, {f"MONITOR_RETENTION_{name}_DAYS": "89"})
    load(None, {f"MONITOR_RETENTION_{name}_DAYS": "90"})


def test_each_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    given = {"INFLUXDB_V2_URL": "http://x", "INFLUXDB_V2_ORG": "o"}
    secrets = {
        name: f"https://example.org/{name}/0123456789abcdef0123456789"
        for name in settings.secret_variables()
    }
    assert len(secrets) > 7
    for name, value in secrets.items():
        (tmp_path / name).write_text(f"{value}\r\n")
        given[f"{name}_FILE"] = str(tmp_path / name)
    no_files = {f"{name}_FILE": "" for name in secrets}
    assert load(None, given) == load(None, {**given, **no_files, **secrets})


def test_file_for_a_setting_that_is_no_secret_is_an_unknown_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MONITOR_SERVER_PORT_FILE: unknown setting"):
        load(None, {"MONITOR_SERVER_PORT_FILE": str(tmp_path)})


def test_each_secret_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff")
    with pytest.raises(SettingsError) as raised:
        load(
            None,
            {
                "MONITOR_EMAIL_PASSWORD_FILE": str(tmp_path / "nowhere"),
                "MONITOR_INGEST_TOKEN_FILE": str(empty),
                "MONITOR_OIDC_CLIENT_SECRET_FILE": str(binary),
                "MONITOR_SERVER_SECRET_KEY": "s3cret" * 6,
                "MONITOR_SERVER_SECRET_KEY_FILE": str(empty),
            },
        )
    assert raised.value.problems == [
        f"MONITOR_EMAIL_PASSWORD_FILE: can't read {tmp_path}/nowhere: No such file or directory",
        f"MONITOR_INGEST_TOKEN_FILE: {empty} is empty",
        f"MONITOR_OIDC_CLIENT_SECRET_FILE: '{binary}' must be the path of a file with UTF-8 text",
        "MONITOR_SERVER_SECRET_KEY_FILE: must not be set if MONITOR_SERVER_SECRET_KEY is set",
    ]
