"""Settings files that are valid, and invalid ones with the error that each must give.

Files beside `NAME.toml`: `NAME.env` (the environment), `NAME.error` or `NAME.warning` (what
`monitor check-config` prints to standard error), `NAME/` (a data directory).
"""

import logging
import os
import shutil
from pathlib import Path

import pytest

from monitor import cli

FILES = Path(__file__).parent / "settings_files"


def names(directory: str) -> list[str]:
    return sorted(path.stem for path in (FILES / directory).glob("*.toml"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, since `check-config` changes the mode of the data directory."""
    shutil.copytree(FILES, tmp_path / "files")
    for variable in os.environ:
        if variable.startswith(("MONITOR_", "INFLUXDB_")):
            monkeypatch.delenv(variable)
    return tmp_path / "files"


def check(directory: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(directory)
    environment = Path(f"{name}.env")
    for line in environment.read_text().splitlines() if environment.exists() else ():
        variable, _, value = line.partition("=")
        monkeypatch.setenv(variable, value)
    return cli.main(["--config", f"{name}.toml", "check-config"])


@pytest.mark.parametrize("name", names("good"))
def test_good_file_is_valid_and_gives_no_warning(
    here: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(here / "data"))
    with caplog.at_level(logging.WARNING):
        assert check(here / "good", name, monkeypatch) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""
    assert caplog.records == []


@pytest.mark.parametrize("name", names("bad"))
def test_bad_file_gives_the_error_beside_it(
    here: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = FILES / "bad" / f"{name}.error"
    assert expected.exists(), f"write the expected error to {expected}"
    assert check(here / "bad", name, monkeypatch) == 1
    assert capsys.readouterr().err.replace(f"{here / 'bad'}/", "") == expected.read_text()


@pytest.mark.parametrize("name", names("warned"))
def test_settings_that_can_not_work_together_give_the_warning_beside_them(
    here: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = FILES / "warned" / f"{name}.warning"
    assert expected.exists(), f"write the expected warning to {expected}"
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(here / "data"))
    assert check(here / "warned", name, monkeypatch) == 0
    assert capsys.readouterr().err == expected.read_text()


def test_every_file_belongs_to_a_settings_file() -> None:
    for directory in ("good", "bad", "warned"):
        found = {path.stem for path in (FILES / directory).iterdir()}
        assert found == set(names(directory))
