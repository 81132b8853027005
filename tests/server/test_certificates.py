"""Certificates and keys that can't be used are errors at the start, which name the setting."""

import subprocess
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.server.serving import SECRET, monitor
from tests.service import Service

WRONG = {
    "missing": ("certificate", "can't read {path}: No such file or directory"),
    "empty": ("certificate", "{path} has no certificate in PEM format"),
    "broken": ("certificate", "can't be used: "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_certificate_that_can_not_be_used(authority: Authority, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.crt"
    key = authority.issue(tmp_path / "good.crt")
    if kind == "empty":
        path.write_text("")
    if kind == "broken":
        path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    name, reason = WRONG[kind]
    for command in ("check-config", "web", "serve"):
        refused(tmp_path, path, str(key), f"server.{name}: {reason.format(path=path)}", command)


def test_key_that_can_not_be_used(authority: Authority, tmp_path: Path) -> None:
    certificate = tmp_path / "good.crt"
    key = authority.issue(certificate)
    other = authority.issue(tmp_path / "other.crt")
    locked = tmp_path / "locked.key"
    locked.write_bytes(encrypted(key))
    for given, reason in (
        ("", f"server.key: must be set, because {certificate} has no private key"),
        (str(certificate), f"server.key: {certificate} has no private key in PEM format"),
        (str(other), f"server.key: {other} is not the key of the certificate"),
        (str(locked), "server.key: must not be protected by a password"),
    ):
        refused(tmp_path, certificate, given, reason)


def test_other_commands_need_no_certificate(tmp_path: Path) -> None:
    service = Service(
        tmp_path,
        MONITOR_SERVER_CERTIFICATE=tmp_path / "missing",
        MONITOR_SERVER_BASE_URL="",
        MONITOR_SERVER_SECRET_KEY=SECRET,
    )
    assert monitor(service, "migrate").returncode == 0


def encrypted(key: Path) -> bytes:
    command = ["openssl", "ec", "-in", str(key), "-aes128", "-passout", "pass:secret"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def refused(
    directory: Path, certificate: Path, key: str, reason: str, command: str = "check-config"
) -> None:
    service = Service(
        directory,
        MONITOR_SERVER_CERTIFICATE=certificate,
        MONITOR_SERVER_KEY=key,
        MONITOR_SERVER_BASE_URL="",
    )
    done = monitor(service, command)
    assert done.returncode == 1
    assert f"  {reason}" in done.stderr
    assert "Traceback" not in done.stderr
