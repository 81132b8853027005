"""The data directory and the secret key in it."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from monitor import cli, keyfile
from monitor.settings import SettingsError, load
from tests.service import Service


def modes(directory: Path) -> dict[str, int]:
    found = {".": directory, **{str(path.relative_to(directory)): path for path in _all(directory)}}
    return {name: stat.S_IMODE(path.lstat().st_mode) for name, path in found.items()}


def _all(directory: Path) -> list[Path]:
    # Temporary files appear and disappear meanwhile.
    return [path for path in directory.rglob("*") if path.suffix != ".new" and path.exists()]


@pytest.mark.parametrize("content", ["", "\n", " " * 64, "short", "k" * 31 + "\n"])
def test_file_without_a_valid_key_is_refused_and_not_changed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    path = tmp_path / "secret-key"
    path.write_text(content)
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path))
    for command in ("check-config", "migrate", "web"):
        assert cli.main([command]) == 1
        message = capsys.readouterr().err
        assert f"{path}: this file must hold a secret key of at least 32 characters" in message
        assert "restore it from a backup, or remove it" in message
    assert path.read_text() == content


def test_key_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret-key"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(SettingsError, match="the secret key can't be read"):
        keyfile.read_or_make(path)


@pytest.mark.parametrize("key", ["short", " " * 40])
def test_short_key_in_the_settings_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="secret_key: must have at least 32 characters"):
        load(None, {"MONITOR_SERVER_SECRET_KEY": key})


def test_key_in_the_settings_replaces_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret-key").write_text("")
    monkeypatch.setenv("MONITOR_DATA_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("MONITOR_SERVER_SECRET_KEY", "k" * 32)
    assert cli.main(["check-config"]) == 0


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret-key"
    with multiprocessing.get_context("fork").Pool(8) as pool:
        keys = set(pool.map(keyfile.read_or_make, [path] * 32, chunksize=1))
    assert keys == {path.read_text()}
    assert [entry.name for entry in path.parent.iterdir()] == ["secret-key"]
    assert modes(path.parent) == {".": 0o700, "secret-key": 0o600}


def test_key_is_synced_to_disk_before_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []
    sync = os.fsync

    def noting(file: int) -> None:
        sync(file)
        path = Path(f"/proc/self/fd/{file}").readlink()
        synced.append(
            (path.name.partition(".")[0], os.fstat(file).st_size if path.is_file() else 0)
        )

    monkeypatch.setattr(os, "fsync", noting)
    key = keyfile.read_or_make(tmp_path / "secret-key")
    assert synced == [("secret-key", len(key)), (tmp_path.name, 0)]


def test_new_data_directory_is_restricted_and_a_shared_one_is_not_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir(0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    keyfile.make_private(own)
    keyfile.make_private(shared)
    keyfile.make_private(tmp_path / "absent")
    assert modes(own)["."] == 0o700
    assert modes(shared)["."] == 0o1777
    assert [str(shared) in message for message in caplog.messages] == [True]


@pytest.mark.timeout(120)
def test_all_files_of_the_service_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o755)
    before = os.umask(0o022)
    try:
        with Service(tmp_path) as service:
            service.ready()
            service.beat("02:00:00:00:00:01")
            found = modes(data)
    finally:
        os.umask(before)
    assert {"state.sqlite", "heartbeats.sqlite", "source-id", "spool", "secret-key"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
